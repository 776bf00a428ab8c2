import { type EventType, parseWebSocketResult, type WebSocketEvent } from "../../apigw/index.ts";
import { takeHiddenFailure } from "../../internal/hidden-failures.ts";
import type { Side } from "./steps.ts";

/** One event that a side has handled. */
export interface SideEvent {
  /** The side that handled the event. */
  readonly side: Side;
  /** CONNECT, MESSAGE or DISCONNECT. */
  readonly event: EventType;
  /** Stage of the API. */
  readonly stage: string;
  /** Whether the server failed: an error, a malformed result, or a status of 5xx, that of an error frame included. */
  readonly failed: boolean;
  /** Duration of the handler in ms. */
  readonly durationMs: number;
}

/** Records the events of both sides. `emfSides`, `prometheusSides` and `memorySides` return one. */
export interface SideRecorder {
  /** Called once per event. Its errors are ignored. */
  record(event: SideEvent): void;
}

/** Returns the measured event of a handler that has returned `result`. */
export function sideEvent(side: Side, event: WebSocketEvent, durationMs: number, result: unknown): SideEvent {
  const { eventType, stage } = event.requestContext;
  const failed = (takeHiddenFailure(event) ?? 0) >= 500 || isFailure(eventType, result);
  return { side, event: eventType, stage, failed, durationMs };
}

function isFailure(event: EventType, result: unknown): boolean {
  try {
    return parseWebSocketResult(result).statusCode >= 500;
  } catch {
    // A malformed result refuses a client, and answers a message with an error. Nobody reads that of `$disconnect`.
    return event !== "DISCONNECT";
  }
}
