/** Codes of {@link CliError}. */
export type CliErrorCode =
  /** The command line, or a file that it names, is invalid. Exit code 2. */
  | "USAGE"
  /** The command failed. Exit code 1. */
  | "FAILED";

/**
 * Returns an error of the operating system, such as a missing file or a refused connection, as one line for the user; any
 * other error unchanged.
 */
export function fromSystemError(error: unknown): unknown {
  const { code, syscall, message } = Object(error) as NodeJS.ErrnoException;
  const isFromSystem = typeof code === "string" && typeof syscall === "string";
  return isFromSystem ? new CliError("FAILED", message || `${syscall} failed: ${code}`) : error;
}

/** An error whose message is one line for the user, with the remedy. */
export class CliError extends Error {
  override readonly name = "CliError";
  /** Decides the exit code of `lift-ws`. */
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
