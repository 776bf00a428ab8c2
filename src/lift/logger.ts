import { checkOptions } from "./check-options.ts";
import { redacted } from "./redact.ts";

export type LogFields = { readonly [name: string]: unknown };

/** What Lift logs through. Pino and Powertools loggers need a line to fit; `console` does as it is. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LEVELS)[number] | "silent";

export interface JsonLoggerOptions {
  /** Nothing below it is written. Default: the environment's `LOG_LEVEL`, else `AWS_LAMBDA_LOG_LEVEL`, else info. */
  readonly level?: LogLevel;
  /** Names of fields, at any depth and in any case, that are never written, besides the usual ones. */
  readonly redact?: readonly string[];
  /** Default: the console's method of the level's name. */
  readonly write?: (level: Exclude<LogLevel, "silent">, line: string) => void;
}

const OPTIONS = {
  level: (value: unknown) => LEVELS.includes(value as never) || value === "silent",
  redact: (value: unknown) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  write: (value: unknown) => typeof value === "function",
};

/**
 * Writes a JSON line per call, as CloudWatch reads them. Tokens stay out of it: fields are hidden by their names
 * (authorization, cookie, password, anything that ends in token or secret, a URL's query), and JWTs, bearer
 * tokens and secrets in URLs wherever they stand in a text, an error's message and stack included.
 * @throws {LiftError} INVALID_OPTION
 */
export function jsonLogger(options: JsonLoggerOptions = {}): Logger {
  checkOptions(options, OPTIONS);
  const { level = levelOf(process.env), redact = [], write = toConsole } = options;
  const hidden = new Set(redact.map((name) => name.toLowerCase()));
  const from = level === "silent" ? LEVELS.length : LEVELS.indexOf(level);
  const at = (own: (typeof LEVELS)[number]) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(own) >= from) write(own, line(own, message, fields, hidden));
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Whatever else stands in the environment is no reason not to start. */
function levelOf(env: NodeJS.ProcessEnv): LogLevel {
  const asked = (env.LOG_LEVEL ?? env.AWS_LAMBDA_LOG_LEVEL ?? "").toLowerCase();
  if (asked === "trace") return "debug";
  if (asked === "fatal") return "error";
  return OPTIONS.level(asked) ? (asked as LogLevel) : "info";
}

function toConsole(level: Exclude<LogLevel, "silent">, text: string): void {
  console[level](text);
}

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

function line(
  level: string,
  message: string,
  fields: LogFields | undefined,
  hidden: ReadonlySet<string>,
): string {
  const entry = { level, time: new Date().toISOString(), message };
  const replace = (name: string, value: unknown) =>
    hidden.has(name.toLowerCase()) ? redacted("secret", value) : redacted(name, readable(value));
  try {
    return JSON.stringify({ ...entry, ...fields }, replace);
  } catch {
    return JSON.stringify({ ...entry, note: "its fields are no JSON" }, replace);
  }
}

/** An Error's own fields are not enumerable: without this it would be logged as `{}`. */
function readable(value: unknown): unknown {
  if (!(value instanceof Error)) return typeof value === "bigint" ? String(value) : value;
  return { ...value, name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
