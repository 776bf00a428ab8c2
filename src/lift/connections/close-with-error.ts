import type { Connections, PostOptions } from "../../apigw/index.ts";
import type { LiftError } from "../errors.ts";
import { closingFrame } from "./error-frames.ts";

/**
 * Closes a connection, after a frame that says why: the service's close tells nothing.
 * @returns whether it was there
 * @throws {ConnectionsError} when it could not be closed
 */
export async function closeWithError(
  connections: Connections,
  connectionId: string,
  reason: LiftError,
  options?: PostOptions,
): Promise<boolean> {
  const told = await connections
    .post(connectionId, closingFrame(reason), options)
    // Who reads so slowly that nothing can be sent must go all the same.
    .catch(() => "untold");
  return told !== "gone" && connections.disconnect(connectionId, options);
}
