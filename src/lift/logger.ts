export type LogFields = { readonly [name: string]: unknown };

/** What Lift logs through. Pino and Powertools loggers need a line to fit; `console` does as it is. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Writes a JSON line per call, as CloudWatch reads them. */
export const consoleLogger: Logger = {
  debug: (message, fields) => console.debug(line("debug", message, fields)),
  info: (message, fields) => console.info(line("info", message, fields)),
  warn: (message, fields) => console.warn(line("warn", message, fields)),
  error: (message, fields) => console.error(line("error", message, fields)),
};

/** Puts the same fields on every line. */
export class FieldLogger implements Logger {
  readonly #logger: Logger;
  readonly #fields: LogFields;

  constructor(logger: Logger, fields: LogFields) {
    this.#logger = logger;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#logger.debug(message, { ...this.#fields, ...fields });
  }

  info(message: string, fields?: LogFields): void {
    this.#logger.info(message, { ...this.#fields, ...fields });
  }

  warn(message: string, fields?: LogFields): void {
    this.#logger.warn(message, { ...this.#fields, ...fields });
  }

  error(message: string, fields?: LogFields): void {
    this.#logger.error(message, { ...this.#fields, ...fields });
  }
}

function line(level: string, message: string, fields: LogFields | undefined): string {
  const entry = { level, time: new Date().toISOString(), message };
  try {
    return JSON.stringify({ ...entry, ...fields }, readable);
  } catch {
    return JSON.stringify({ ...entry, note: "its fields are no JSON" });
  }
}

/** An Error's own fields are not enumerable: without this it would be logged as `{}`. */
function readable(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return typeof value === "bigint" ? String(value) : value;
  return { ...value, name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
