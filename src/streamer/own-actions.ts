import { LiftError } from "../lift/index.ts";
import type { Action } from "../protocol/index.ts";
import type { Core } from "./core.ts";

/**
 * Refuses an action that the application handles by a route of its own. Its checks must hold for every form of the
 * action: the first clients' `message`, the state of a `subscribe`, and a message that reached `$default` because the
 * route is missing in the deployed API.
 * @throws {LiftError} FORBIDDEN
 */
export function assertOwn(action: Action, { hasRoute }: Pick<Core, "hasRoute">): void {
  if (!hasRoute(action)) return;
  const message = `The application handles \`${action}\` by a route of its own: send that action`;
  throw new LiftError("FORBIDDEN", { message });
}
