import { findOptionFault, type OptionCheck } from "../internal/options.ts";

interface ErrorKind {
  /** Status of a refused `$connect`. */
  readonly status: number;
  /** Default message. Clients may read it. */
  readonly message: string;
  /** Set when the same message may succeed later. */
  readonly retry?: true;
  /** Set for mistakes in the application. Clients see INTERNAL_ERROR instead; the log has the message. */
  readonly internal?: true;
}

/** Returns the kind of a mistake in the application. */
function internal<const Message extends string>(message: Message) {
  return { status: 500, message, internal: true } as const;
}

/** Every code that Lift throws or sends. Applications add their own with `new LiftError("MY_CODE", …)`. */
export const ERROR_CODES = {
  MALFORMED_JSON: { status: 400, message: "The message is not JSON" },
  VALIDATION_ERROR: { status: 400, message: "The message does not match the schema of its route" },
  UNAUTHORIZED: { status: 401, message: "Not authenticated" },
  TOKEN_EXPIRED: {
    status: 401,
    message: "The token has expired; connect again with a new one",
    retry: true,
  },
  REVOKED: { status: 403, message: "The server has closed this connection" },
  FORBIDDEN: { status: 403, message: "Not allowed" },
  NOT_FOUND: { status: 404, message: "Unknown route" },
  CONNECTION_CLOSED: { status: 410, message: "The connection is closed", retry: true },
  RATE_LIMITED: { status: 429, message: "Too many requests", retry: true },
  INTERNAL_ERROR: { status: 500, message: "Internal server error" },
  STORE_FAILED: { status: 503, message: "The connection's state is unavailable", retry: true },
  UNAVAILABLE: { status: 503, message: "A required service did not respond", retry: true },
  TOO_MANY_CONNECTIONS: {
    status: 503,
    message: "The connection limit is reached; try again later",
    retry: true,
  },
  TIMEOUT: { status: 504, message: "The request timed out", retry: true },

  INVALID_OPTION: internal("An option is unknown or invalid"),
  INVALID_ROUTE: internal("A route's key, pattern or options are invalid"),
  ROUTE_EXISTS: internal("A route is already registered"),
  ACTION_EXISTS: internal("A kind of scheduled items already has an action"),
  APP_STARTED: internal("The app cannot change after its first event"),
  NEXT_CALLED_TWICE: internal("A middleware called next() more than once"),
  INVALID_RESULT: internal("The handler returned an invalid result"),
  NOT_WEBSOCKET: internal("Context is not from a WebSocket event"),
  NOT_CONNECTED: internal(
    "Cannot send to a connection before its $connect has finished; " +
      "send on its first message, or from another event",
  ),
  IDENTITY_FIXED: internal("The identity of a connection can be set on $connect only"),
  STORE_REQUIRED: internal(
    "Connection state requires the option `connectionStore`; use `ctx.locals` for values of one event",
  ),
  RESERVED_KEY: internal("State keys that begin with `lift:` are reserved"),
  STATE_NOT_JSON: internal("A connection's state must be JSON"),
  NOT_JSON: internal("The value cannot be serialized as JSON"),
} as const satisfies { [code: string]: ErrorKind };

/** One of the codes in `ERROR_CODES`. */
export type LiftErrorCode = keyof typeof ERROR_CODES;

/** Options of `LiftError`. */
export interface LiftErrorOptions {
  /** Status of a refused `$connect`, 400 to 599; any other becomes 500. Default: the code's; 500 for your own codes. */
  readonly status?: number;
  /** Message for clients, without internal details. Default: the code's. */
  readonly message?: string;
  /** Cause of the error, for the log only. */
  readonly cause?: unknown;
  /** Additional JSON that is sent to the client with the code. */
  readonly details?: unknown;
  /** Whether the client may send the same message again. Default: the code's; false for your own codes. */
  readonly retry?: boolean;
}

/**
 * The error class of Lift and of applications. Switch on `code`; `message` may change.
 * @example
 * throw new LiftError("ROOM_FULL", { status: 409, message: "The room is full", retry: true });
 */
export class LiftError extends Error {
  override readonly name = "LiftError";
  /** One of `ERROR_CODES`, or the application's own. */
  readonly code: LiftErrorCode | (string & {});
  /** Status of a refused `$connect`, 400 to 599. */
  readonly status: number;
  /** Additional JSON for the client. */
  readonly details?: unknown;
  /** Whether the client may send the same message again. */
  readonly retry: boolean;

  /** Never throws: an invalid status becomes 500, and a code that is not text INTERNAL_ERROR. */
  constructor(code: LiftErrorCode | (string & {}), options: LiftErrorOptions = {}) {
    const text = typeof code === "string" && code !== "" ? code : "INTERNAL_ERROR";
    const kind = kindOf(text);
    super(
      options.message ?? kind.message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = text;
    this.status = refusalStatus(options.status ?? kind.status);
    this.retry = options.retry ?? kind.retry ?? false;
    if (options.details !== undefined) this.details = options.details;
  }
}

/**
 * Returns the error that a client may see for a thrown value: the value itself if it is a LiftError for clients, else
 * INTERNAL_ERROR with the value as its cause.
 * @example
 * const { code, message } = clientError(thrown);
 */
export function clientError(thrown: unknown): LiftError {
  if (thrown instanceof LiftError && kindOf(thrown.code).internal !== true) return thrown;
  return new LiftError("INTERNAL_ERROR", { cause: thrown });
}

const MAX_CAUSES = 5;

/** Describes a thrown value and its causes for the log, without a stack. */
export function withoutStack(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error) || depth > MAX_CAUSES) return thrown instanceof Error ? thrown.name : thrown;
  const { name, message, cause } = thrown;
  const described = { ...thrown, name, message };
  return cause === undefined ? described : { ...described, cause: withoutStack(cause, depth + 1) };
}

/** Returns a status that refuses the client. A 2xx would open the socket. */
export function refusalStatus(status: number): number {
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
}

function kindOf(code: string): ErrorKind {
  return Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as LiftErrorCode] : ERROR_CODES.INTERNAL_ERROR;
}

/** @throws {LiftError} INVALID_OPTION for an unknown, invalid or missing option; see `findOptionFault` */
export function checkOptions(
  options: object,
  checks: { readonly [name: string]: OptionCheck },
  settings?: { readonly prefix?: string; readonly required?: readonly string[] },
): void {
  const fault = findOptionFault(options, checks, settings);
  if (fault !== undefined) throw invalidOption(fault);
}

export function invalidOption(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}
