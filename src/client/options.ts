import { type Clock, systemClock } from "./clock.ts";
import type { WebSocketConstructor } from "./connection/session.ts";
import { ClientError } from "./errors.ts";
import type { OutboxStorage } from "./outbox/outbox-storage.ts";
import { MAX_TIMER_MS } from "./requests/timeouts.ts";

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

/** What each is; of a number its default and its minimum. */
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
  outboxStorage: "object",
  clock: "object",
  random: "function",
} as const satisfies { readonly [name in keyof ClientOptions]-?: string | readonly [number, number] };

type Credential = "token" | "getToken" | "getTicket" | "outboxStorage";

/** The same, with the defaults filled in. */
export type ResolvedOptions = Required<Omit<ClientOptions, Credential>> & Pick<ClientOptions, Credential>;

/** @throws {ClientError} INVALID_OPTION */
export function resolveOptions(options: ClientOptions): ResolvedOptions {
  const { WebSocket } = globalThis;
  const settings: { [name: string]: unknown } = { WebSocket, clock: systemClock, random: Math.random };
  for (const [name, kind] of Object.entries(KINDS)) {
    if (typeof kind !== "string") settings[name] = kind[0];
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(KINDS, name)) throw invalid(`unknown option ${name}`);
    if (value === undefined) continue;
    const kind = KINDS[name as keyof ClientOptions];
    if (typeof kind !== "string") checkInteger(name, value, kind[1]);
    else if (typeof value !== kind) throw invalid(`${name} must be of type ${kind}`);
    settings[name] = value;
  }
  checkTogether(settings as unknown as ResolvedOptions);
  return settings as unknown as ResolvedOptions;
}

function checkTogether(settings: ResolvedOptions): void {
  const { url, token, getToken, getTicket, WebSocket, reconnectBaseMs, reconnectMaxMs } = settings;
  if (!URL.canParse(url) || !/^wss?:/i.test(url)) throw invalid("url must be ws: or wss:");
  if ([token, getToken, getTicket].filter((given) => given !== undefined).length > 1) {
    throw invalid("only one of token, getToken, getTicket");
  }
  if (!WebSocket) throw invalid("no WebSocket");
  if (reconnectMaxMs < reconnectBaseMs) throw invalid("reconnectMaxMs < reconnectBaseMs");
}

/** @throws {ClientError} INVALID_OPTION */
export function checkInteger(name: string, value: unknown, min: number, max = MAX_TIMER_MS): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw invalid(`${name} must be an integer from ${min} to ${max}`);
}

function invalid(message: string): ClientError {
  return new ClientError("INVALID_OPTION", message);
}
