/** Codes of {@link GatewayError}. They are stable; switch on them and not on messages. */
export type GatewayErrorCode =
  /** An option is unknown or has an invalid value. */
  | "INVALID_OPTION"
  /** A host other than loopback requires `credentials`, which verify the signatures of @connections requests. */
  | "CREDENTIALS_REQUIRED"
  /** Another process uses the port. */
  | "ADDRESS_IN_USE"
  /** `listen` was called a second time, or after `close`. */
  | "NOT_LISTENABLE"
  /** `url`, `endpoint` or `port` was read before `listen`. */
  | "NOT_LISTENING";

/** The error that the gateway throws for a wrong option or a wrong call. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  /** The kind of error. */
  readonly code: GatewayErrorCode;

  constructor(code: GatewayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
