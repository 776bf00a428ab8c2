import { type Clock, systemClock } from "./clock.ts";
import type { WebSocketConstructor } from "./connection/websocket.ts";
import { ClientError } from "./errors.ts";
import type { ClientFeature } from "./feature.ts";
import { MAX_TIMER_MS } from "./requests/timeouts.ts";

/** Options of `createClient`. Times are in ms. */
export interface ClientOptions {
  /** The server's URL, `ws:` or `wss:`. Its query is kept. */
  readonly url: string;
  /** Sent as the query parameter `token`. Set at most one of `token`, `getToken`, `getTicket`. Default: anonymous. */
  readonly token?: string;
  /** Returns a token. Called before each connection, and before the token (a JWT) expires, to refresh it. Default: none. */
  readonly getToken?: () => string | Promise<string>;
  /** Returns a one-time ticket, sent as the query parameter `ticket`. Called before each connection. Default: none. */
  readonly getTicket?: () => string | Promise<string>;
  /** The WebSocket implementation. Default: the global `WebSocket`. */
  readonly WebSocket?: WebSocketConstructor;
  /** Limit for opening a connection, and for `getToken` or `getTicket`. Default 10,000; minimum 1. */
  readonly connectTimeoutMs?: number;
  /** Limit for the response to a request. Default 10,000; minimum 1. */
  readonly requestTimeoutMs?: number;
  /** Maximum delay before the first reconnect; doubles with each failure. Default 500; minimum 1. */
  readonly reconnectBaseMs?: number;
  /** Maximum delay before any reconnect. Default 30,000; minimum `reconnectBaseMs`. */
  readonly reconnectMaxMs?: number;
  /**
   * Time between heartbeats, less up to 10 percent. API Gateway closes connections that are idle for 10 minutes.
   * Default 300,000; minimum 1,000.
   */
  readonly heartbeatMs?: number;
  /** Closes a socket that has not answered a heartbeat after this time. Default 10,000; minimum 1. */
  readonly heartbeatTimeoutMs?: number;
  /**
   * Replaces a socket after this time, less up to 10 percent. API Gateway closes every connection after 2 hours.
   * Default 6,900,000 (115 minutes); minimum 10,000.
   */
  readonly maxConnectionMs?: number;
  /** How long to wait for a missing message before fetching it from history. Default 200; minimum 0. */
  readonly gapMs?: number;
  /** Maximum number of unacknowledged messages. Default 1,000; minimum 1. */
  readonly outboxMaxItems?: number;
  /** Maximum size of all unacknowledged messages, in bytes of JSON. Default 1,048,576; minimum 1. */
  readonly outboxMaxBytes?: number;
  /** Features beyond channels, messages and history: `[presence(), blobs()]`. Default: none. */
  readonly use?: readonly ClientFeature[];
  /** Source of time and timers, for tests. Default: the system's. */
  readonly clock?: Clock;
  /** Returns a number from 0 up to 1, for jitter. Default: `Math.random`. */
  readonly random?: () => number;
}

/** The type of each option; for a number its default and minimum. */
const KINDS = {
  url: "string",
  token: "string",
  getToken: "function",
  getTicket: "function",
  WebSocket: "function",
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
  use: "object",
  clock: "object",
  random: "function",
} as const satisfies { readonly [name in keyof ClientOptions]-?: string | readonly [number, number] };

type Credential = "token" | "getToken" | "getTicket";

/** Options with their defaults. */
export type ResolvedOptions = Required<Omit<ClientOptions, Credential>> & Pick<ClientOptions, Credential>;

/** Checks the options and fills in the defaults. @throws {ClientError} INVALID_OPTION */
export function resolveOptions(options: ClientOptions): ResolvedOptions {
  const { WebSocket } = globalThis;
  const settings: { [name: string]: unknown } = {
    WebSocket,
    clock: systemClock,
    random: Math.random,
    use: [],
  };
  for (const [name, kind] of Object.entries(KINDS)) {
    if (typeof kind !== "string") settings[name] = kind[0];
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(KINDS, name)) throw invalidOption(`Unknown option ${name}`);
    if (value === undefined) continue;
    const kind = KINDS[name as keyof ClientOptions];
    if (typeof kind !== "string") checkInteger(name, value, kind[1]);
    else if (typeof value !== kind) throw invalidOption(`${name} must be of type ${kind}`);
    settings[name] = value;
  }
  checkCombination(settings as unknown as ResolvedOptions);
  return settings as unknown as ResolvedOptions;
}

function checkCombination(settings: ResolvedOptions): void {
  const { url, token, getToken, getTicket, WebSocket, use } = settings;
  if (!URL.canParse(url) || !/^wss?:/i.test(url)) throw invalidOption("`url` must be ws: or wss:");
  if ([token, getToken, getTicket].filter((given) => given !== undefined).length > 1) {
    throw invalidOption("Set only one of token, getToken, getTicket");
  }
  if (!Array.isArray(use) || use.some((feature) => typeof feature?.install !== "function")) {
    throw invalidOption("`use` takes features, such as blobs()");
  }
  if (!WebSocket) throw invalidOption("Set `WebSocket`");
  checkInteger("reconnectMaxMs", settings.reconnectMaxMs, settings.reconnectBaseMs);
}

/** @throws {ClientError} INVALID_OPTION */
export function checkInteger(name: string, value: unknown, min: number, max = MAX_TIMER_MS): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw invalidOption(`${name} must be an integer from ${min} to ${max}`);
}

export function invalidOption(message: string): ClientError {
  return new ClientError("INVALID_OPTION", message);
}
