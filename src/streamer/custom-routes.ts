import { LiftError } from "../lift/index.ts";

/** Actions of the protocol for which the application has registered a route of its own. */
export class CustomRoutes {
  readonly #readRouteKeys: () => Iterable<string>;
  #routeKeys: ReadonlySet<string> | undefined;

  /** @param readRouteKeys is called once, on the first message: no route is registered after that */
  constructor(readRouteKeys: () => Iterable<string>) {
    this.#readRouteKeys = readRouteKeys;
  }

  has(action: string): boolean {
    this.#routeKeys ??= new Set(this.#readRouteKeys());
    return this.#routeKeys.has(action);
  }

  /**
   * Refuses an action that the application's own route handles. The route's checks must hold for every form of the
   * action: the legacy `message`, the state in a `subscribe`, and a message that reaches `$default` because the deployed
   * API lacks the route.
   * @throws {LiftError} FORBIDDEN
   */
  refuse(action: string): void {
    if (!this.has(action)) return;
    const message = `The application handles \`${action}\` with a route of its own; send the action \`${action}\``;
    throw new LiftError("FORBIDDEN", { message });
  }
}
