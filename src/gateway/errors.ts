export type GatewayErrorCode =
  /** An option is unknown or out of range. */
  | "INVALID_OPTION"
  /** Beyond loopback the gateway wants credentials to verify @connections by. */
  | "CREDENTIALS_REQUIRED"
  /** The port is taken. */
  | "ADDRESS_IN_USE"
  /** `listen` twice, or after `close`. */
  | "NOT_LISTENABLE"
  /** An address was asked for before `listen`. */
  | "NOT_LISTENING";

export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: GatewayErrorCode;

  constructor(code: GatewayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
