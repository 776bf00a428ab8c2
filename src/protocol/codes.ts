/** Whether a client resends the request by itself, after a delay. PROTOCOL.md, "Error codes", has the reasons. */
export const RETRY_BY_CODE = {
  MALFORMED_JSON: false,
  VALIDATION_ERROR: false,
  UNAUTHORIZED: false,
  TOKEN_EXPIRED: true,
  REVOKED: false,
  FORBIDDEN: false,
  NOT_FOUND: false,
  CONFLICT: false,
  CANCELLED: false,
  OUTCOME_UNKNOWN: false,
  TOO_LARGE: false,
  LIMIT_EXCEEDED: false,
  CONNECTION_CLOSED: true,
  RATE_LIMITED: true,
  INTERNAL_ERROR: false,
  STORE_FAILED: true,
  UNAVAILABLE: true,
  TOO_MANY_CONNECTIONS: true,
  TIMEOUT: true,
} as const satisfies { readonly [code: string]: boolean };

export type ErrorCode = keyof typeof RETRY_BY_CODE;

/** A field that does not match PROTOCOL.md: its path in the message, and the rule that it breaks. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

export type ProtocolErrorCode = "MALFORMED_JSON" | "VALIDATION_ERROR" | "NOT_FOUND";

/** An invalid message. Switch on `code`. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;
  /** The request's `id`, if it is valid. */
  readonly requestId: string | undefined;
  /** Set for VALIDATION_ERROR. */
  readonly issue: Issue | undefined;

  constructor(code: ProtocolErrorCode, message: string, requestId?: string, issue?: Issue) {
    super(message);
    this.code = code;
    this.requestId = requestId;
    this.issue = issue;
  }
}
