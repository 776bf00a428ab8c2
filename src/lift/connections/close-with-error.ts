import type { Connections, PostOptions } from "../../apigw/index.ts";
import type { LiftError } from "../errors.ts";
import { closingFrame } from "./error-frames.ts";

/**
 * Closes a connection after an error frame with the reason, because the service's close has no reason.
 * @returns whether the connection was open
 * @throws {ConnectionsError} when it could not be closed
 */
export async function closeWithError(
  connections: Connections,
  connectionId: string,
  reason: LiftError,
  options?: PostOptions,
): Promise<boolean> {
  const outcome = await connections
    .post(connectionId, closingFrame(reason), options)
    // A client that reads too slowly to receive the frame must be closed too.
    .catch(() => "failed");
  return outcome !== "gone" && connections.disconnect(connectionId, options);
}
