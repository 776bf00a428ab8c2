interface LogWriter {
  warn(message: string, fields: { readonly [name: string]: unknown }): void;
  error(message: string, fields: { readonly [name: string]: unknown }): void;
}

/** Logs, and ignores a logger that throws: its failure must not change the event's result. */
export function logSafely(
  logger: LogWriter,
  level: "warn" | "error",
  message: string,
  fields: { readonly [name: string]: unknown },
): void {
  try {
    logger[level](message, fields);
  } catch {}
}

/** Runs an action, and logs its error. Never rejects. */
export async function runSafely(action: () => unknown, logger: LogWriter, message: string): Promise<void> {
  try {
    await action();
  } catch (error) {
    logSafely(logger, "error", message, { error });
  }
}
