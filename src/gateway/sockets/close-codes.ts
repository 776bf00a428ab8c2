/** Why a connection ended, as `$disconnect` is told. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
}

/**
 * The endings that are the gateway's own; anything else is the client's code and reason. Those of 1000, 1001 and
 * 1005 are the service's texts; of the others it is not known what the service says.
 */
export const ENDINGS = {
  deleted: { code: 1000, reason: "Connection Closed Normally" },
  /** Idle, too old, or the gateway stops. */
  goingAway: { code: 1001, reason: "Going away" },
  protocolError: { code: 1002, reason: "Protocol error" },
  binary: { code: 1003, reason: "Unsupported data" },
  noStatus: { code: 1005, reason: "Client-side close frame status not set" },
  vanished: { code: 1006, reason: "Abnormal closure" },
  notUtf8: { code: 1007, reason: "Invalid frame payload data" },
  refused: { code: 1008, reason: "Too many refused messages" },
  tooSlow: { code: 1008, reason: "Client too slow" },
  tooBig: { code: 1009, reason: "Message too big" },
} as const satisfies Record<string, Ending>;

/** The close codes with which `ws` itself answers a client's faulty bytes. */
const ENDING_BY_STATUS = new Map<number, Ending>([
  [1002, ENDINGS.protocolError],
  [1007, ENDINGS.notUtf8],
  // Too many frames in one message.
  [1008, ENDINGS.tooBig],
  [1009, ENDINGS.tooBig],
]);

/** The ending to send where `ws` would send this status without a reason. */
export function endingOfStatus(status: number): Ending | undefined {
  return ENDING_BY_STATUS.get(status);
}

/** The ending behind an error that `ws` found in a client's bytes. It has answered with the close frame already. */
export function endingOfError(error: Error & { code?: string }): Ending {
  switch (error.code) {
    case "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH":
    case "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH":
    case "WS_ERR_TOO_MANY_BUFFERED_PARTS":
      return ENDINGS.tooBig;
    case "WS_ERR_INVALID_UTF8":
      return ENDINGS.notUtf8;
    default:
      return error.code?.startsWith("WS_ERR_") ? ENDINGS.protocolError : ENDINGS.vanished;
  }
}

/** The ending that a client's close brings: its own code and reason, or the service's word for their absence. */
export function endingOfClose(code: number, reason: Uint8Array): Ending {
  if (code === ENDINGS.noStatus.code) return ENDINGS.noStatus;
  if (code === ENDINGS.vanished.code) return ENDINGS.vanished;
  return { code, reason: new TextDecoder().decode(reason) };
}
