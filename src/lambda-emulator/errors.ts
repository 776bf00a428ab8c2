/** Codes of {@link LambdaEmulatorError}. */
export type LambdaEmulatorErrorCode =
  | "DYNAMODB_UNAVAILABLE"
  | "FUNCTION_FAILED"
  | "FUNCTION_STOPPED"
  | "INVALID_OPTION"
  | "STREAM_UNAVAILABLE"
  | "THROTTLED";

/** The error of an emulated function, table stream or DynamoDB Local. */
export class LambdaEmulatorError extends Error {
  override readonly name: string = "LambdaEmulatorError";
  /** The kind of error. */
  readonly code: LambdaEmulatorErrorCode;

  constructor(code: LambdaEmulatorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A failure in the Runtime API, with Lambda's field names. */
export interface FunctionErrorPayload {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/**
 * A failed invocation, with the name, message and stack of the function's error. The gateway reads the message, like the
 * service: an authorizer's `Unauthorized` becomes 401.
 */
export class FunctionError extends LambdaEmulatorError {
  override readonly name: string;

  constructor({ errorType, errorMessage, trace }: FunctionErrorPayload) {
    super("FUNCTION_FAILED", errorMessage);
    this.name = errorType;
    this.stack = trace?.join("\n") || `${errorType}: ${errorMessage}`;
  }
}
