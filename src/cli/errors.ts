export type CliErrorCode =
  /** The command line, or a file it names, says something that can't be meant. Exit 2. */
  | "USAGE"
  /** What was asked for can't be done now. Exit 1. */
  | "FAILED";

/** What the person who typed the command is told, in one line that says what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
