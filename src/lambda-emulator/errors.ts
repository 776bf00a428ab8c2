export type LambdaEmulatorErrorCode =
  | "DYNAMODB_UNAVAILABLE"
  | "FUNCTION_FAILED"
  | "FUNCTION_STOPPED"
  | "INVALID_OPTION"
  | "STREAM_UNAVAILABLE"
  | "THROTTLED";

/** What kept a function, or the engine beside it, from doing what it was asked. */
export class LambdaEmulatorError extends Error {
  override readonly name: string = "LambdaEmulatorError";
  readonly code: LambdaEmulatorErrorCode;

  constructor(code: LambdaEmulatorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What the Runtime API tells of a failure; the fields are Lambda's. */
export interface FunctionErrorPayload {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/**
 * An invocation that failed: the function's own error by its name, message and stack. A gateway reads the message,
 * as the service does: an authorizer says `Unauthorized` by it.
 */
export class FunctionError extends LambdaEmulatorError {
  override readonly name: string;

  constructor({ errorType, errorMessage, trace }: FunctionErrorPayload) {
    super("FUNCTION_FAILED", errorMessage);
    this.name = errorType;
    this.stack = trace?.join("\n") || `${errorType}: ${errorMessage}`;
  }
}
