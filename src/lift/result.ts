import { type PostOutcome, parseWebSocketResult, type WebSocketResult } from "../apigw/index.ts";
import { isHttpToken } from "../internal/http-token.ts";
import { LiftError } from "./errors.ts";

/** Short handlers return the outcome of `ctx.reply(…)`, which is not a result. */
export function isPostOutcome(returned: unknown): returned is PostOutcome {
  return returned === "sent" || returned === "gone" || returned === "connecting";
}

/**
 * Reads the result that a handler returned. A status in text is rejected, because it is unknown whether the service
 * accepts one.
 * @throws {LiftError} INVALID_RESULT
 */
export function readResult(returned: unknown): WebSocketResult {
  try {
    const result = parseWebSocketResult(returned);
    if (result.statusCode === (returned as WebSocketResult).statusCode) return result;
  } catch (cause) {
    throw invalidResult(`${(cause as TypeError).message}. Return nothing, ctx or a result`);
  }
  throw invalidResult("The handler's result has a `statusCode` that is not a number");
}

/**
 * Checks the result that accepts a connection, before its row is saved. The service refuses a client when it cannot read
 * the result or write the handshake from it, and sends no `$disconnect` for that client.
 * @throws {LiftError} INVALID_RESULT
 */
export function validateConnectResult(result: WebSocketResult): void {
  try {
    JSON.stringify(result);
  } catch (cause) {
    throw invalidResult("The result cannot be serialized as JSON", cause);
  }
  const fields = [...Object.entries(result.headers ?? {}), ...Object.entries(result.multiValueHeaders ?? {})];
  for (const [name, value] of fields) {
    if (name.toLowerCase() !== "sec-websocket-protocol") continue;
    for (const protocol of Array.isArray(value) ? value : [value]) {
      if (!isHttpToken(String(protocol))) {
        throw invalidResult("The `Sec-WebSocket-Protocol` header is not a valid subprotocol name");
      }
    }
  }
}

export function invalidResult(message: string, cause?: unknown): LiftError {
  return new LiftError("INVALID_RESULT", { message, cause });
}
