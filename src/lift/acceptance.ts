import type { WebSocketResult } from "../apigw/index.ts";
import { LiftError } from "./errors.ts";

/** RFC 9110's token: what a subprotocol's name is made of. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Checks what would accept a client, before anything is kept of it: what the service can't read or can't write into
 * the handshake it refuses, and sends no `$disconnect` for.
 * @throws {LiftError} INVALID_RESULT
 */
export function checkAcceptance(result: WebSocketResult): void {
  try {
    JSON.stringify(result);
  } catch (cause) {
    throw new LiftError("INVALID_RESULT", { message: "The result can't be written as JSON", cause });
  }
  for (const [name, value] of [...entriesOf(result.headers), ...entriesOf(result.multiValueHeaders)]) {
    if (name.toLowerCase() !== "sec-websocket-protocol") continue;
    for (const protocol of Array.isArray(value) ? value : [value]) {
      if (TOKEN.test(String(protocol))) continue;
      throw new LiftError("INVALID_RESULT", {
        message: "Sec-WebSocket-Protocol is not a subprotocol's name",
      });
    }
  }
}

function entriesOf(fields: object | null | undefined): [string, unknown][] {
  return Object.entries(fields ?? {});
}
