export type LocalErrorCode =
  | "DYNAMODB_UNAVAILABLE"
  | "FUNCTION_FAILED"
  | "FUNCTION_STOPPED"
  | "INVALID_OPTION"
  | "THROTTLED";

/** What kept a function, or the engine beside it, from doing what it was asked. */
export class LocalError extends Error {
  override readonly name: string = "LocalError";
  readonly code: LocalErrorCode;

  constructor(code: LocalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What the Runtime API tells of a failure; the fields are Lambda's. */
export interface FunctionFault {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/** An invocation that failed, with the function's own stack. */
export function functionFailed({ errorType, errorMessage, trace }: FunctionFault): LocalError {
  const error = new LocalError("FUNCTION_FAILED", `${errorType}: ${errorMessage}`);
  if (trace !== undefined && trace.length > 0) error.stack = trace.join("\n");
  return error;
}
