/** The close code and reason in the `$disconnect` event. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

/**
 * Close codes and reasons that the gateway sets itself; the others come from the client. The texts of 1000, 1001 and 1005
 * are the service's. The service's texts for the other codes are unknown.
 */
export const CLOSE_REASONS = {
  deleted: { code: 1000, reason: "Connection Closed Normally" },
  /** The connection is idle or has reached its lifetime limit, or the gateway stops. */
  goingAway: { code: 1001, reason: "Going away" },
  protocolError: { code: 1002, reason: "Protocol error" },
  binaryMessage: { code: 1003, reason: "Unsupported data" },
  noStatus: { code: 1005, reason: "Client-side close frame status not set" },
  abnormal: { code: 1006, reason: "Abnormal closure" },
  invalidUtf8: { code: 1007, reason: "Invalid frame payload data" },
  tooManyRefusals: { code: 1008, reason: "Too many refused messages" },
  tooSlow: { code: 1008, reason: "Client too slow" },
  tooBig: { code: 1009, reason: "Message too big" },
} as const satisfies Record<string, CloseReason>;

/** Close codes that `ws` sends itself for invalid bytes. */
const REASON_BY_STATUS = new Map<number, CloseReason>([
  [1002, CLOSE_REASONS.protocolError],
  [1007, CLOSE_REASONS.invalidUtf8],
  // A message with too many frames.
  [1008, CLOSE_REASONS.tooBig],
  [1009, CLOSE_REASONS.tooBig],
]);

/** Returns the reason to send when `ws` closes with a code only. */
export function closeReasonFromStatus(status: number): CloseReason | undefined {
  return REASON_BY_STATUS.get(status);
}

/** Returns the reason for an error of `ws` in a client's bytes. `ws` has already sent the close frame. */
export function closeReasonFromError(error: Error & { code?: string }): CloseReason {
  switch (error.code) {
    case "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH":
    case "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH":
    case "WS_ERR_TOO_MANY_BUFFERED_PARTS":
      return CLOSE_REASONS.tooBig;
    case "WS_ERR_INVALID_UTF8":
      return CLOSE_REASONS.invalidUtf8;
    default:
      return error.code?.startsWith("WS_ERR_") ? CLOSE_REASONS.protocolError : CLOSE_REASONS.abnormal;
  }
}

/** Returns the code and reason of a client's close frame, or the service's texts when there is none. */
export function closeReasonFromFrame(code: number, reason: Uint8Array): CloseReason {
  if (code === CLOSE_REASONS.noStatus.code) return CLOSE_REASONS.noStatus;
  if (code === CLOSE_REASONS.abnormal.code) return CLOSE_REASONS.abnormal;
  return { code, reason: new TextDecoder().decode(reason) };
}
