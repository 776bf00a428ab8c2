/** Why a connection ended, as `$disconnect` is told. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

/**
 * The endings that are the gateway's own; anything else is the client's code and reason. Those of 1000, 1001 and
 * 1005 are the service's texts; of the others it is not known what the service says.
 */
export const CLOSE_REASONS = {
  deleted: { code: 1000, reason: "Connection Closed Normally" },
  /** Idle, too old, or the gateway stops. */
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

/** The close codes with which `ws` itself answers a client's faulty bytes. */
const REASON_BY_STATUS = new Map<number, CloseReason>([
  [1002, CLOSE_REASONS.protocolError],
  [1007, CLOSE_REASONS.invalidUtf8],
  // Too many frames in one message.
  [1008, CLOSE_REASONS.tooBig],
  [1009, CLOSE_REASONS.tooBig],
]);

/** The ending to send where `ws` would send this status without a reason. */
export function closeReasonFromStatus(status: number): CloseReason | undefined {
  return REASON_BY_STATUS.get(status);
}

/** The ending behind an error that `ws` found in a client's bytes. It has answered with the close frame already. */
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

/** The ending that a client's close brings: its own code and reason, or the service's word for their absence. */
export function closeReasonFromFrame(code: number, reason: Uint8Array): CloseReason {
  if (code === CLOSE_REASONS.noStatus.code) return CLOSE_REASONS.noStatus;
  if (code === CLOSE_REASONS.abnormal.code) return CLOSE_REASONS.abnormal;
  return { code, reason: new TextDecoder().decode(reason) };
}
