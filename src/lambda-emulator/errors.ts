/** Codes of {@link LambdaEmulatorError}. */
export type LambdaEmulatorErrorCode =
  | "DYNAMODB_UNAVAILABLE"
  | "FUNCTION_FAILED"
  | "FUNCTION_STOPPED"
  | "INVALID_OPTION"
  | "STREAM_UNAVAILABLE"
  | "THROTTLED"
  | TemplateErrorCode;

/**
 * Codes of {@link TemplateError}:
 * - `ASSET_MISSING`: a function's code is not on this machine
 * - `POLICY_INVALID`: an IAM statement that cannot be evaluated
 * - `TEMPLATE_CYCLE`: resources or conditions that depend on each other
 * - `TEMPLATE_INVALID`: a template that CloudFormation would refuse
 * - `TEMPLATE_PARAMETER`: a missing or invalid parameter value
 * - `TEMPLATE_REFERENCE`: a reference to nothing in the stack
 * - `TEMPLATE_SYNTAX`: a text that is not JSON or YAML
 * - `TEMPLATE_UNSUPPORTED`: a valid template that the emulator cannot resolve
 */
export type TemplateErrorCode =
  | "ASSET_MISSING"
  | "POLICY_INVALID"
  | "TEMPLATE_CYCLE"
  | "TEMPLATE_INVALID"
  | "TEMPLATE_PARAMETER"
  | "TEMPLATE_REFERENCE"
  | "TEMPLATE_SYNTAX"
  | "TEMPLATE_UNSUPPORTED";

/** The error of an emulated function, table stream, template or DynamoDB Local. */
export class LambdaEmulatorError extends Error {
  override readonly name: string = "LambdaEmulatorError";
  /** The kind of error. */
  readonly code: LambdaEmulatorErrorCode;

  constructor(code: LambdaEmulatorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A place in a template. */
export interface TemplatePlace {
  /** The template's file, for messages. */
  readonly file: string;
  /** The logical ID of a resource, or the path of another element, such as `Outputs.Url`. */
  readonly resource?: string | undefined;
  /** Counted from 1. */
  readonly line?: number | undefined;
}

/** A fault in a template or in a policy of it. The message starts with the file, the line and the resource. */
export class TemplateError extends LambdaEmulatorError {
  override readonly name: string = "TemplateError";
  declare readonly code: TemplateErrorCode;
  /** The logical ID of the resource, or the path of another element. */
  readonly resource: string | undefined;
  /** The line in the template, from 1. */
  readonly line: number | undefined;

  constructor(code: TemplateErrorCode, message: string, place: TemplatePlace, options?: ErrorOptions) {
    const { file, resource, line } = place;
    const where = [
      line === undefined ? file : `${file}:${line}`,
      ...(resource === undefined ? [] : [resource]),
    ];
    super(code, `${where.join(": ")}: ${message}`, options);
    this.resource = resource;
    this.line = line;
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
