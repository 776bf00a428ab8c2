import { anyFunction, arrayOf, integer, type OptionChecks } from "../internal/options.ts";
import { isSecretName, logText, redactField } from "../internal/redact.ts";
import { checkOptions } from "./errors.ts";

/** Fields of a log line. */
export type LogFields = { readonly [name: string]: unknown };

/** Interface of the app's logger. `console` fits as it is; Pino and Powertools loggers need a one-line adapter. */
export interface Logger {
  /** Logs details for development. Lift itself does not use it. */
  debug(message: string, fields?: LogFields): void;
  /** Logs normal operation. */
  info(message: string, fields?: LogFields): void;
  /** Logs events that were refused, and failures that do not affect an event. */
  warn(message: string, fields?: LogFields): void;
  /** Logs failed events. */
  error(message: string, fields?: LogFields): void;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

/** Lowest level that is written; `silent` writes nothing. */
export type LogLevel = (typeof LEVELS)[number] | "silent";

/** Options of `jsonLogger`. */
export interface JsonLoggerOptions {
  /** Lowest level that is written. Default: `LOG_LEVEL` or `AWS_LAMBDA_LOG_LEVEL` of the environment, else `info`. */
  readonly level?: LogLevel;
  /** Further field names whose values are hidden, at any depth and in any case. Default: none. */
  readonly redact?: readonly string[];
  /** Most characters of each text. A longer text is truncated and has its length appended. Default 8,192; minimum 64. */
  readonly maxTextLength?: number;
  /** Writes a line. Default: the console's method with the level's name. */
  readonly write?: (level: Exclude<LogLevel, "silent">, line: string) => void;
}

const isLevel = (value: unknown) => LEVELS.includes(value as never) || value === "silent";

const OPTIONS: OptionChecks<JsonLoggerOptions> = {
  level: { test: isLevel, expected: `one of ${LEVELS.join(", ")}, silent` },
  redact: arrayOf((name) => typeof name === "string", "an array of strings"),
  maxTextLength: integer(64),
  write: anyFunction,
};

/**
 * Returns a logger that writes one JSON line per call, in the form that CloudWatch parses, without secrets. It hides fields
 * with names such as `authorization`, `cookie`, `password`, `secretAccessKey` and `sessionToken`. In texts and stacks it
 * hides credentials, JWTs, and secrets in URLs, queries, header lines and JSON.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const app = new Lift({ logger: jsonLogger({ level: "warn", redact: ["email"] }) });
 */
export function jsonLogger(options: JsonLoggerOptions = {}): Logger {
  checkOptions(options, OPTIONS);
  const { level = levelOf(process.env), redact = [], write = toConsole, maxTextLength } = options;
  const hidden = new Set(redact.map((name) => name.toLowerCase()));
  const serialize = (value: object) => JSON.stringify(value, replacer(hidden, maxTextLength));
  const lowest = level === "silent" ? LEVELS.length : LEVELS.indexOf(level);
  const logAt = (own: (typeof LEVELS)[number]) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(own) >= lowest) write(own, formatLine(own, message, fields, serialize));
  };
  return { debug: logAt("debug"), info: logAt("info"), warn: logAt("warn"), error: logAt("error") };
}

/** An unknown level in the environment must not prevent the app from starting. */
function levelOf(env: NodeJS.ProcessEnv): LogLevel {
  const requested = (env.LOG_LEVEL ?? env.AWS_LAMBDA_LOG_LEVEL ?? "").toLowerCase();
  if (requested === "trace") return "debug";
  if (requested === "fatal") return "error";
  return isLevel(requested) ? (requested as LogLevel) : "info";
}

function toConsole(level: Exclude<LogLevel, "silent">, text: string): void {
  console[level](text);
}

/** Adds the same fields to every line. It reads them when it writes a line, because most events write none. */
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
      return { ...this.#fields(), note: "the fields of this line cannot be read" };
    }
  }
}

function formatLine(
  level: string,
  message: string,
  fields: LogFields | undefined,
  serialize: (value: object) => string,
): string {
  const entry = { level, time: new Date().toISOString(), message };
  try {
    return serialize({ ...entry, ...fields });
  } catch {
    return serialize({
      ...entry,
      ...serializableFields(fields, serialize),
      note: "some fields are not JSON",
    });
  }
}

type Replacer = (this: unknown, name: string, value: unknown) => unknown;

/** Hides secrets, truncates texts, and converts values that JSON does not know. */
function replacer(hidden: ReadonlySet<string>, maxTextLength: number | undefined): Replacer {
  /** The objects from the line down to the value, in written and original form. */
  const path: { readonly written: unknown; readonly original: unknown }[] = [];
  return function replace(this: unknown, name, value) {
    if (hidden.has(name.toLowerCase())) return redactField("secret", value);
    // toJSON has already turned the bytes into numbers, in which no token could be found.
    const original = (this as { [name: string]: unknown })[name];
    if (ArrayBuffer.isView(original)) return redactField(name, `[${original.byteLength} bytes]`);
    const readable = redactField(name, toLoggable(value), maxTextLength);
    if (typeof readable !== "object" || readable === null) return readable;
    while (path.length > 0 && path.at(-1)?.written !== this) path.pop();
    if (path.some((outer) => outer.original === value)) return "[circular]";
    const written = withSafeNames(readable, maxTextLength);
    path.push({ written, original: value });
    return written;
  };
}

/** Matches names that cannot hold a secret: too short for a JWT, and without the characters around other secrets. */
const PLAIN_NAME = /^[\w$.-]{0,64}$/;

/** An application may log part of a message, and then clients choose the field names too. */
function withSafeNames(value: object, maxTextLength: number | undefined): object {
  if (Array.isArray(value) || Object.keys(value).every((name) => PLAIN_NAME.test(name))) return value;
  const fields = Object.entries(value).map(([name, field]) => [
    logText(name, maxTextLength),
    isSecretName(name) ? redactField(name, field) : field,
  ]);
  return Object.fromEntries(fields);
}

/** Returns the fields that can be serialized, so that a getter that throws does not lose the others. */
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

/** The fields of an Error are not enumerable and a Map has none, so both would be logged as `{}`. */
function toLoggable(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause, errors } = value as AggregateError;
  return { ...value, name, message, stack, cause, errors };
}
