import type { WebSocketEvent } from "../../apigw/index.ts";
import type { Settings } from "../options.ts";

/** How long after the longest lifetime a row still stands, for a `$disconnect` that comes late. */
const ROW_GRACE_MS = 10 * 60 * 1000;

/** From when on a row, and whatever else is kept of the event's connection, is of no use. */
export function rowExpiry(event: WebSocketEvent, { lifetimeMs }: Settings): number {
  return event.requestContext.connectedAt + lifetimeMs + ROW_GRACE_MS;
}
