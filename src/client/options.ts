import { type Clock, systemClock } from "./clock.ts";
import { ClientError } from "./errors.ts";
import type { OutboxStorage } from "./outbox.ts";
import type { WebSocketConstructor } from "./session.ts";
import { MAX_TIMER_MS } from "./waiting.ts";

/** Times are ms. */
export interface ClientOptions {
  /** Where the application is: `ws:` or `wss:`. A query of its own is kept. */
  readonly url: string;
  /** Goes into the query as `token`. At most one of `token`, `getToken` and `getTicket`; none: anonymous. */
  readonly token?: string;
  /** Asked before every connection, and before the token (a JWT) expires, to refresh it on the socket. */
  readonly getToken?: () => string | Promise<string>;
  /** A one-time ticket, asked for before every connection; goes into the query as `ticket`. */
  readonly getTicket?: () => string | Promise<string>;
  /** Default: the global one. */
  readonly WebSocket?: WebSocketConstructor;
  /** How long a connection, `getToken` included, may take to open. Default 10,000; minimum 1. */
  readonly connectTimeoutMs?: number;
  /** How long an answer may take. Default 10,000; minimum 1. */
  readonly requestTimeoutMs?: number;
  /** The most before the first try to come back; doubled with each. Default 500; minimum 1. */
  readonly reconnectBaseMs?: number;
  /** The most before any. Default 30,000; minimum `reconnectBaseMs`. */
  readonly reconnectMaxMs?: number;
  /** Between heartbeats; up to a tenth less. API Gateway ends what is idle for 10 minutes. Default 300,000; minimum 1,000. */
  readonly heartbeatMs?: number;
  /** A socket that has not answered a heartbeat by then is taken for dead. Default 10,000; minimum 1. */
  readonly heartbeatTimeoutMs?: number;
  /**
   * By then a new socket has taken over; up to a tenth earlier. API Gateway ends every connection after 2 hours.
   * Default 6,900,000 (115 minutes); minimum 10,000.
   */
  readonly maxConnectionMs?: number;
  /** How long a message that came out of order waits for those before it, until they are fetched. Default 200; minimum 0. */
  readonly gapMs?: number;
  /** The most publications that wait for their answer. Default 1,000; minimum 1. */
  readonly outboxMaxItems?: number;
  /** Their size together, as bytes of JSON. Default 1,048,576; minimum 1. */
  readonly outboxMaxBytes?: number;
  /** Keeps them across restarts. Default: in memory only. */
  readonly outboxStorage?: OutboxStorage;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** 0 to 1, for delays. Default: `Math.random`. */
  readonly random?: () => number;
}

/** Default and minimum. */
const NUMBERS = {
  connectTimeoutMs: [10_000, 1],
  requestTimeoutMs: [10_000, 1],
  reconnectBaseMs: [500, 1],
  reconnectMaxMs: [30_000, 1],
  heartbeatMs: [300_000, 1_000],
  heartbeatTimeoutMs: [10_000, 1],
  maxConnectionMs: [6_900_000, 10_000],
  gapMs: [200, 0],
  outboxMaxItems: [1_000, 1],
  outboxMaxBytes: [1_048_576, 1],
} as const satisfies { readonly [name in keyof ClientOptions]?: readonly [number, number] };

const FUNCTIONS = ["getToken", "getTicket", "WebSocket", "random"] as const;
const OTHERS = ["url", "token", "outboxStorage", "clock"] as const;

type Credential = "token" | "getToken" | "getTicket" | "outboxStorage";

/** The same, with the defaults filled in. */
export type Settings = Required<Omit<ClientOptions, Credential>> & Pick<ClientOptions, Credential>;

/** @throws {ClientError} INVALID_OPTION */
export function settingsOf(options: ClientOptions): Settings {
  const known: readonly string[] = [...Object.keys(NUMBERS), ...FUNCTIONS, ...OTHERS];
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw invalid(`there is no option ${name}`);
  }
  checkUrl(options.url);
  for (const name of FUNCTIONS) {
    if (options[name] !== undefined && typeof options[name] !== "function") {
      throw invalid(`${name} must be a function`);
    }
  }
  const credentials = [options.token, options.getToken, options.getTicket];
  if (credentials.filter((given) => given !== undefined).length > 1) {
    throw invalid("only one of token, getToken and getTicket can be given");
  }
  const WebSocket: WebSocketConstructor | undefined = globalThis.WebSocket;
  const settings = {
    WebSocket,
    clock: systemClock,
    random: Math.random,
    ...defined(options),
    ...numbersOf(options),
  };
  if (settings.WebSocket === undefined) throw invalid("there is no WebSocket here: give one");
  if (settings.reconnectMaxMs < settings.reconnectBaseMs) {
    throw invalid("reconnectMaxMs must be at least reconnectBaseMs");
  }
  return settings as Settings;
}

function checkUrl(url: unknown): void {
  const protocol = typeof url === "string" && URL.canParse(url) ? new URL(url).protocol : "";
  if (!/^wss?:$/.test(protocol)) throw invalid("url must be one of ws: or wss:");
}

function numbersOf(options: ClientOptions): { readonly [Name in keyof typeof NUMBERS]: number } {
  const numbers: { [name: string]: number } = {};
  for (const [name, [byDefault, min]] of Object.entries(NUMBERS)) {
    const value = options[name as keyof typeof NUMBERS] ?? byDefault;
    if (!Number.isInteger(value) || value < min || value > MAX_TIMER_MS) {
      throw invalid(`${name} must be an integer from ${min} to ${MAX_TIMER_MS}`);
    }
    numbers[name] = value;
  }
  return numbers as { [Name in keyof typeof NUMBERS]: number };
}

/** Without what is given as `undefined`, which would hide a default. */
function defined(options: ClientOptions): Partial<ClientOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function invalid(message: string): ClientError {
  return new ClientError("INVALID_OPTION", message);
}
