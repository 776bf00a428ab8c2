interface ErrorKind {
  /** What `$connect` answers. */
  readonly status: number;
  /** What a client may read. */
  readonly message: string;
  /** Whether the same message may succeed when it is sent again. */
  readonly retry?: true;
  /** A mistake in the application: its client reads INTERNAL_ERROR, its log the message. */
  readonly internal?: true;
}

/** Every code that Lift itself throws or sends. An application adds its own by `new LiftError("MY_CODE", …)`. */
export const ERROR_CODES = {
  MALFORMED_JSON: { status: 400, message: "The message is not JSON" },
  VALIDATION_ERROR: { status: 400, message: "The message does not have the form that its route asks for" },
  UNAUTHORIZED: { status: 401, message: "Not authenticated" },
  TOKEN_EXPIRED: {
    status: 401,
    message: "The token has expired: connect again with a new one",
    retry: true,
  },
  REVOKED: { status: 403, message: "The server has ended this connection" },
  FORBIDDEN: { status: 403, message: "Not allowed" },
  NOT_FOUND: { status: 404, message: "There is no such route" },
  CONNECTION_CLOSED: { status: 410, message: "The connection has ended", retry: true },
  RATE_LIMITED: { status: 429, message: "Too many requests", retry: true },
  INTERNAL_ERROR: { status: 500, message: "Internal server error" },
  STORE_FAILED: { status: 503, message: "The connection's state could not be reached", retry: true },
  UNAVAILABLE: { status: 503, message: "A service that is needed here did not answer", retry: true },
  TOO_MANY_CONNECTIONS: { status: 503, message: "No more connections are taken at present", retry: true },
  TIMEOUT: { status: 504, message: "The request took too long", retry: true },

  INVALID_OPTION: { status: 500, message: "An option is unknown or invalid", internal: true },
  INVALID_ROUTE: { status: 500, message: "A route's key or pattern is invalid", internal: true },
  ROUTE_EXISTS: { status: 500, message: "A route is registered twice", internal: true },
  ACTION_EXISTS: { status: 500, message: "A kind of scheduled items has two actions", internal: true },
  APP_STARTED: { status: 500, message: "The app has handled an event: it is fixed now", internal: true },
  NEXT_CALLED_TWICE: { status: 500, message: "A middleware called next() more than once", internal: true },
  INVALID_RESULT: { status: 500, message: "The handler's answer is no result", internal: true },
  NOT_WEBSOCKET: { status: 500, message: "Context is not from a WebSocket event", internal: true },
  NOT_CONNECTED: {
    status: 500,
    message:
      "Nothing can be sent to a connection before its $connect has finished: " +
      "send on its first message, or from another event",
    internal: true,
  },
  IDENTITY_FIXED: {
    status: 500,
    message: "Who a connection belongs to is set in $connect only",
    internal: true,
  },
  STORE_REQUIRED: {
    status: 500,
    message: "Connection state needs a connectionStore; ctx.locals holds what lasts one event",
    internal: true,
  },
  RESERVED_KEY: {
    status: 500,
    message: "Keys of the state that begin with lift: are Lift's own",
    internal: true,
  },
  STATE_NOT_JSON: { status: 500, message: "A connection's state holds JSON only", internal: true },
  NOT_JSON: { status: 500, message: "The value can't be written as JSON", internal: true },
} as const satisfies { [code: string]: ErrorKind };

export type LiftErrorCode = keyof typeof ERROR_CODES;

export interface LiftErrorOptions {
  /** What `$connect` answers, 400 to 599; any other becomes 500. Default: the code's; 500 for your own code. */
  readonly status?: number;
  /** Read by clients: nothing internal in it. Default: the code's. */
  readonly message?: string;
  /** For the log only. */
  readonly cause?: unknown;
  /** Sent to the client with the code, as JSON. */
  readonly details?: unknown;
  /** Whether the client may send the same again. Default: the code's; false for an application's own code. */
  readonly retry?: boolean;
}

/** The one error of Lift, and of the applications on it. Switch on `code`; `message` may change. */
export class LiftError extends Error {
  override readonly name = "LiftError";
  readonly code: LiftErrorCode | (string & {});
  readonly status: number;
  readonly details?: unknown;
  readonly retry: boolean;

  /** Never throws: a status that refuses nothing becomes 500. */
  constructor(code: LiftErrorCode | (string & {}), options: LiftErrorOptions = {}) {
    const kind = kindOf(code);
    super(
      options.message ?? kind.message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.status = refusalStatus(options.status ?? kind.status);
    this.retry = options.retry ?? kind.retry ?? false;
    if (options.details !== undefined) this.details = options.details;
  }
}

/** What a client may know of any thrown value: the error itself, or INTERNAL_ERROR with the value as its cause. */
export function clientError(thrown: unknown): LiftError {
  if (thrown instanceof LiftError && kindOf(thrown.code).internal !== true) return thrown;
  return new LiftError("INTERNAL_ERROR", { cause: thrown });
}

const MAX_CAUSES = 5;

/** Describes a thrown value for the log, its causes included, without a stack. */
export function withoutStack(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error) || depth > MAX_CAUSES) return thrown instanceof Error ? thrown.name : thrown;
  const { name, message, cause } = thrown;
  const described = { ...thrown, name, message };
  return cause === undefined ? described : { ...described, cause: withoutStack(cause, depth + 1) };
}

/** The status by which an error refuses a client, whatever was written into it: a 2xx would open the socket. */
export function refusalStatus(status: number): number {
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
}

function kindOf(code: string): ErrorKind {
  return Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as LiftErrorCode] : ERROR_CODES.INTERNAL_ERROR;
}
