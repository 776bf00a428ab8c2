import { isConnectEvent, isMessageEvent } from "../../../apigw/index.ts";
import { checkOptions, isFunction } from "../../check-options.ts";
import type { Middleware } from "../../compose.ts";
import { connectionsOf } from "../../connections/by-endpoint.ts";
import { closeWithError } from "../../connections/close-with-error.ts";
import { type AnyContext, settingsOf } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { isLifecycle } from "../../router.ts";
import { MemoryLimiter } from "./memory-limiter.ts";
import {
  isCompleteRate,
  type MemoryRate,
  RATE_OPTIONS,
  RateCounter,
  type StoredRate,
} from "./rate-counter.ts";
import { needsNoIdentity, type RateLimitKey, rateLimitKey } from "./rate-limit-key.ts";

interface Keyed {
  readonly by: RateLimitKey;
}

/** Counted in this process's memory. */
export interface MemoryRateLimit extends MemoryRate, Keyed {}

/** Counted by a limiter of `rate-limiter-flexible`, in DynamoDB for one: its limit and window are its own. */
export interface StoredRateLimit extends StoredRate, Keyed {}

export type RateLimit = MemoryRateLimit | StoredRateLimit;

export interface RateLimitOptions {
  readonly connects?: RateLimit;
  /** All messages of a key together. */
  readonly messages?: RateLimit;
  /**
   * The messages of single routes, besides `messages`: by registered key, by Streamer's action (`publish`), or by action
   * and namespace (`publish:room`). The app refuses its first event with INVALID_OPTION where it has no such route.
   */
  readonly routes?: { readonly [routeKey: string]: RateLimit };
  /**
   * Refused messages that a connection may send in a minute; at the next one it is closed. Counted in this process's
   * memory. Default 1,000; minimum 1; `Infinity`: it is never closed.
   */
  readonly maxRefusals?: number;
  /** Clock of the limits counted in memory: ms, from any origin. Default: the process's monotonic clock. */
  readonly now?: () => number;
}

/** 10 connects a minute from an address, 100 messages a minute on a connection. */
export const defaultRateLimits = {
  connects: { by: "ip", limit: 10, windowMs: 60_000 },
  messages: { by: "connection", limit: 100, windowMs: 60_000 },
} as const satisfies RateLimitOptions;

const MAX_REFUSALS = 1_000;
const REFUSALS_WINDOW_MS = 60_000;

/** One limit, at work. */
interface Counter {
  readonly by: RateLimitKey;
  readonly counter: RateCounter;
}

interface Counters {
  readonly connects: readonly Counter[];
  readonly messages: readonly Counter[];
  readonly routes: ReadonlyMap<string, readonly Counter[]>;
  readonly refusals: MemoryLimiter;
}

/**
 * Refuses what is too much: a connect with 429, a message with a RATE_LIMITED error frame that has `retryAfterMs`
 * among its details. Limits by address or connection run before everything else, wherever this stands in the
 * order of `use`: before a token is looked at and a row is read. Those that need an identity run in their place,
 * so after the authentication. `$disconnect` is never limited. A connection that goes on being refused is closed.
 * @throws {LiftError} INVALID_OPTION
 */
export function webSocketRateLimit(options: RateLimitOptions = defaultRateLimits): Middleware[] {
  const all = readLimits(options);
  const early = filterCounters(all, ({ by }) => needsNoIdentity(by));
  const late = filterCounters(all, ({ by }) => !needsNoIdentity(by));
  return [
    ...(early === undefined ? [] : [Object.assign(createLimit(early), { phase: "guard" as const })]),
    ...(late === undefined ? [] : [createLimit(late)]),
  ];
}

function createLimit(counters: Counters): Middleware {
  const { routes, refusals } = counters;
  const limit: Middleware = async (ctx, next) => {
    await consumeAll(ctx, countersOf(ctx, counters), refusals);
    if (routes.size > 0 && isMessageEvent(ctx.event)) {
      ctx.onAction(() => consumeAll(ctx, actionCounters(ctx, routes), refusals));
    }
    return next();
  };
  return Object.assign(limit, { routes: [...routes.keys()] });
}

function countersOf(ctx: AnyContext, { connects, messages, routes }: Counters): readonly Counter[] {
  if (isConnectEvent(ctx.event)) return connects;
  if (!isMessageEvent(ctx.event)) return [];
  if (routes.size === 0) return messages;
  return [...messages, ...(routes.get(ctx.route) ?? []), ...actionCounters(ctx, routes)];
}

/** Those of the action that the message asks for within its route. */
function actionCounters(ctx: AnyContext, routes: Counters["routes"]): readonly Counter[] {
  const { action } = ctx;
  if (action === ctx.route) return [];
  const keys = [action, ...ctx.namespaces.map((namespace) => `${action}:${namespace}`)];
  return keys.flatMap((key) => routes.get(key) ?? []);
}

/** @throws {LiftError} RATE_LIMITED, UNAVAILABLE */
async function consumeAll(
  ctx: AnyContext,
  counters: readonly Counter[],
  refusals: MemoryLimiter,
): Promise<void> {
  try {
    for (const { by, counter } of counters) {
      const key = await rateLimitKey(ctx, by);
      if (key !== undefined) await counter.count(key, ctx.logger);
    }
  } catch (error) {
    if (isMessageEvent(ctx.event) && error instanceof LiftError && error.code === "RATE_LIMITED") {
      await refusals.consume(ctx.connectionId).catch(() => closeConnection(ctx, error));
    }
    throw error;
  }
}

/** Each refusal costs an invocation and a frame, so a client that does not slow down must not go on for ever. */
async function closeConnection(ctx: AnyContext, error: LiftError): Promise<void> {
  const connections = connectionsOf(ctx.event, settingsOf(ctx));
  try {
    await closeWithError(connections, ctx.connectionId, error, { budget: ctx.lambda });
  } catch (cause) {
    ctx.logger.warn("A connection over its rate limit was not closed", { error: cause });
  }
}

function filterCounters(counters: Counters, wanted: (counter: Counter) => boolean): Counters | undefined {
  const connects = counters.connects.filter(wanted);
  const messages = counters.messages.filter(wanted);
  const routes = new Map([...counters.routes].filter(([, own]) => own.every(wanted)));
  const isEmpty = connects.length + messages.length + routes.size === 0;
  return isEmpty ? undefined : { connects, messages, routes, refusals: counters.refusals };
}

const isLimit = (value: unknown) => typeof value === "object" && value !== null;

const isMaximum = (value: unknown) =>
  value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= 1);

const OPTIONS = {
  connects: isLimit,
  messages: isLimit,
  routes: isLimit,
  maxRefusals: isMaximum,
  now: isFunction,
};

const KEYS = ["connection", "user", "tenant", "ip"];

const LIMIT_OPTIONS = {
  by: (value: unknown) => isFunction(value) || KEYS.includes(value as string),
  ...RATE_OPTIONS,
};

/** @throws {LiftError} INVALID_OPTION */
function readLimits(options: RateLimitOptions): Counters {
  checkOptions(options, OPTIONS);
  const { connects, messages, routes = {}, maxRefusals = MAX_REFUSALS, now = Date.now } = options;
  const counters = {
    connects: connects === undefined ? [] : [readLimit("connects", connects, "closed", now)],
    messages: messages === undefined ? [] : [readLimit("messages", messages, "open", now)],
    routes: new Map(
      Object.entries(routes).map(([key, limit]) => {
        if (isLifecycle(key)) throw invalid(`${key} is no route of messages: see the option connects`);
        return [key, [readLimit(`route:${encodeURIComponent(key)}`, limit, "open", now)]];
      }),
    ),
    refusals: new MemoryLimiter(maxRefusals, REFUSALS_WINDOW_MS, now),
  };
  if (filterCounters(counters, () => true) === undefined) throw invalid("No limit is given");
  return counters;
}

function readLimit(
  scope: string,
  limit: RateLimit,
  onFailure: "open" | "closed",
  now: () => number,
): Counter {
  checkOptions(limit, LIMIT_OPTIONS);
  const { by, ...rate } = limit;
  if (by === undefined || !isCompleteRate(rate)) {
    throw invalid(`${scope} needs \`by\`, and either a limit and its windowMs or a limiter`);
  }
  return { by, counter: new RateCounter(scope, rate, onFailure, now) };
}

function invalid(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}
