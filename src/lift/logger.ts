import { isSecretName, logText, redactField } from "../internal/redact.ts";
import { checkOptions } from "./check-options.ts";

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
  /** Characters of each text in a line; longer texts are cut and say how long they were. Default 8,192; minimum 64. */
  readonly maxTextLength?: number;
  /** Default: the console's method of the level's name. */
  readonly write?: (level: Exclude<LogLevel, "silent">, line: string) => void;
}

const OPTIONS = {
  level: (value: unknown) => LEVELS.includes(value as never) || value === "silent",
  redact: (value: unknown) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  maxTextLength: (value: unknown) => Number.isInteger(value) && (value as number) >= 64,
  write: (value: unknown) => typeof value === "function",
};

/**
 * Writes a JSON line per call, as CloudWatch reads them, without secrets. Fields are hidden by their names
 * (`authorization`, `cookie`, `password`, `secretAccessKey`, `sessionToken`). Texts, stacks included, are written
 * without credentials, JWTs and secrets in URLs, queries, header lines and JSON, and are cut to `maxTextLength`.
 * @throws {LiftError} INVALID_OPTION
 */
export function jsonLogger(options: JsonLoggerOptions = {}): Logger {
  checkOptions(options, OPTIONS);
  const { level = levelOf(process.env), redact = [], write = toConsole, maxTextLength } = options;
  const hidden = new Set(redact.map((name) => name.toLowerCase()));
  const written = (value: object) => JSON.stringify(value, replacer(hidden, maxTextLength));
  const from = level === "silent" ? LEVELS.length : LEVELS.indexOf(level);
  const at = (own: (typeof LEVELS)[number]) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(own) >= from) write(own, formatLine(own, message, fields, written));
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

/** For what Lift itself has to say: a logger that throws changes nothing for the event. */
export function logSafely(logger: Logger, level: "warn" | "error", message: string, fields: LogFields): void {
  try {
    logger[level](message, fields);
  } catch {}
}

/** Puts the same fields on every line. They are read when a line is written, as most events write none. */
export class FieldLogger implements Logger {
  readonly #logger: Logger;
  readonly #fields: () => LogFields;

  constructor(logger: Logger, fields: () => LogFields) {
    this.#logger = logger;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#logger.debug(message, this.#with(fields));
  }

  info(message: string, fields?: LogFields): void {
    this.#logger.info(message, this.#with(fields));
  }

  warn(message: string, fields?: LogFields): void {
    this.#logger.warn(message, this.#with(fields));
  }

  error(message: string, fields?: LogFields): void {
    this.#logger.error(message, this.#with(fields));
  }

  #with(fields: LogFields | undefined): LogFields {
    try {
      return { ...this.#fields(), ...fields };
    } catch {
      return { ...this.#fields(), note: "its own fields can't be read" };
    }
  }
}

function formatLine(
  level: string,
  message: string,
  fields: LogFields | undefined,
  written: (value: object) => string,
): string {
  const entry = { level, time: new Date().toISOString(), message };
  try {
    return written({ ...entry, ...fields });
  } catch {
    return written({
      ...entry,
      ...serializableFields(fields, written),
      note: "some of its fields are no JSON",
    });
  }
}

type Replacer = (this: unknown, name: string, value: unknown) => unknown;

/** Hides secrets, cuts texts, and makes JSON of the values that JSON does not know. */
function replacer(hidden: ReadonlySet<string>, maxTextLength: number | undefined): Replacer {
  /** From the line down to the value: as it is written, and as it came. */
  const path: { readonly written: unknown; readonly came: unknown }[] = [];
  return function replace(this: unknown, name, value) {
    if (hidden.has(name.toLowerCase())) return redactField("secret", value);
    // Its toJSON has made numbers of the bytes by now, and nothing would find a token in them.
    const came = (this as { [name: string]: unknown })[name];
    if (ArrayBuffer.isView(came)) return redactField(name, `[${came.byteLength} bytes]`);
    const readable = redactField(name, toLoggable(value), maxTextLength);
    if (typeof readable !== "object" || readable === null) return readable;
    while (path.length > 0 && path.at(-1)?.written !== this) path.pop();
    if (path.some((outer) => outer.came === value)) return "[circular]";
    const written = withSafeNames(readable, maxTextLength);
    path.push({ written, came: value });
    return written;
  };
}

/** Too short for a JWT, and without the characters that other secrets need around them. */
const PLAIN_NAME = /^[\w$.-]{0,64}$/;

/** Clients choose names too, where an application logs a part of a message. */
function withSafeNames(value: object, maxTextLength: number | undefined): object {
  if (Array.isArray(value) || Object.keys(value).every((name) => PLAIN_NAME.test(name))) return value;
  const fields = Object.entries(value).map(([name, field]) => [
    logText(name, maxTextLength),
    isSecretName(name) ? redactField(name, field) : field,
  ]);
  return Object.fromEntries(fields);
}

/** The fields that can be written: one whose getter throws takes no other with it. */
function serializableFields(fields: LogFields | undefined, write: (value: object) => string): LogFields {
  const names = Object.keys(fields ?? {}).filter((name) => {
    try {
      return write({ [name]: fields?.[name] }) !== undefined;
    } catch {
      return false;
    }
  });
  return Object.fromEntries(names.map((name) => [name, fields?.[name]]));
}

/** An Error's own fields are not enumerable, and a Map has none: without this they would be logged as `{}`. */
function toLoggable(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause, errors } = value as AggregateError;
  return { ...value, name, message, stack, cause, errors };
}
