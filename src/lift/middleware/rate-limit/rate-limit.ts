import { isConnectEvent, isMessageEvent } from "../../../apigw/index.ts";
import {
  anyFunction,
  either,
  type OptionCheck,
  type OptionChecks,
  record,
} from "../../../internal/options.ts";
import type { Middleware } from "../../compose.ts";
import { closeWithError } from "../../connections/close-with-error.ts";
import { type AnyContext, contextInternals } from "../../context.ts";
import { checkOptions, invalidOption, LiftError } from "../../errors.ts";
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
  /** Groups the events that are counted together. */
  readonly by: RateLimitKey;
}

/** A limit that is counted in memory. */
export interface MemoryRateLimit extends MemoryRate, Keyed {}

/** A limit that a limiter counts, such as `dynamoDBRateLimiter` or one of `rate-limiter-flexible`. */
export interface StoredRateLimit extends StoredRate, Keyed {}

/** A number of events per key and window. */
export type RateLimit = MemoryRateLimit | StoredRateLimit;

/** Options of `webSocketRateLimit`. At least one limit is required. */
export interface RateLimitOptions {
  /** Limit for `$connect`. Default: none. */
  readonly connects?: RateLimit;
  /** Limit for all messages of a key together. Default: none. */
  readonly messages?: RateLimit;
  /**
   * Further limits for single routes: by registered key, by Streamer's action (`publish`), or by action and namespace
   * (`publish:room`). The app rejects its first event with INVALID_OPTION if a route does not exist. Default: none.
   */
  readonly routes?: { readonly [routeKey: string]: RateLimit };
  /**
   * Refused messages that a connection may send per minute. The next one closes the connection. Counted in memory.
   * Default 1,000; minimum 1; `Infinity` never closes it.
   */
  readonly maxRefusals?: number;
  /** Returns a time in ms, from any origin, for limits in memory. Default: the process's monotonic clock. */
  readonly now?: () => number;
}

/** 10 connects per minute and address, 100 messages per minute and connection. */
export const defaultRateLimits = {
  connects: { by: "ip", limit: 10, windowMs: 60_000 },
  messages: { by: "connection", limit: 100, windowMs: 60_000 },
} as const satisfies RateLimitOptions;

const MAX_REFUSALS = 1_000;
const REFUSALS_WINDOW_MS = 60_000;

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
 * Rejects events over a limit: a connect with 429, a message with a RATE_LIMITED error frame that has `retryAfterMs` in its
 * details. Limits by address or connection run as guards, before a token is verified or a row is read. Limits that need an
 * identity run in the order of `use`, so add them after the authentication. `$disconnect` is never limited. A connection
 * that keeps being refused is closed; see `maxRefusals`.
 * @param options default: `defaultRateLimits`
 * @throws {LiftError} INVALID_OPTION
 * @example
 * app.use(webSocketRateLimit({ messages: { by: "user", limit: 50, windowMs: 10_000 } }));
 */
export function webSocketRateLimit(options: RateLimitOptions = defaultRateLimits): Middleware[] {
  const all = readLimits(options);
  const early = filterCounters(all, ({ by }) => needsNoIdentity(by));
  const late = filterCounters(all, ({ by }) => !needsNoIdentity(by));
  return [
    ...(early === undefined
      ? []
      : [Object.assign(createLimit(early), { phase: "guard" } satisfies Pick<Middleware, "phase">)]),
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

/** Returns the counters of the action that the message requests within its route. */
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

/** Each refusal costs an invocation and a frame, so a client that does not slow down is closed. */
async function closeConnection(ctx: AnyContext, error: LiftError): Promise<void> {
  const connections = contextInternals.connectionsOf(ctx);
  try {
    await closeWithError(connections, ctx.connectionId, error, { budget: ctx.lambda });
  } catch (cause) {
    ctx.logger.warn("A connection over its rate limit was not closed", { error: cause });
  }
}

function filterCounters(counters: Counters, isIncluded: (counter: Counter) => boolean): Counters | undefined {
  const connects = counters.connects.filter(isIncluded);
  const messages = counters.messages.filter(isIncluded);
  const routes = new Map([...counters.routes].filter(([, own]) => own.every(isIncluded)));
  const isEmpty = connects.length + messages.length + routes.size === 0;
  return isEmpty ? undefined : { connects, messages, routes, refusals: counters.refusals };
}

const OPTIONS: OptionChecks<RateLimitOptions> = {
  connects: record,
  messages: record,
  routes: record,
  maxRefusals: {
    test: (value) =>
      value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= 1),
    expected: "an integer from 1, or `Infinity`",
  },
  now: anyFunction,
};

const KEYS = ["connection", "user", "tenant", "ip"];

const namedKey: OptionCheck = {
  test: (value) => KEYS.includes(value as string),
  expected: `one of ${KEYS.join(", ")}`,
};

const LIMIT_OPTIONS = { by: either(namedKey, anyFunction), ...RATE_OPTIONS };

/** @throws {LiftError} INVALID_OPTION */
function readLimits(options: RateLimitOptions): Counters {
  checkOptions(options, OPTIONS);
  const { connects, messages, routes = {}, maxRefusals = MAX_REFUSALS, now = Date.now } = options;
  const counters = {
    connects: connects === undefined ? [] : [readLimit("connects", "connects", connects, "closed", now)],
    messages: messages === undefined ? [] : [readLimit("messages", "messages", messages, "open", now)],
    routes: new Map(
      Object.entries(routes).map(([key, limit]) => {
        if (isLifecycle(key))
          throw invalidOption(`\`${key}\` is not a message route; use the option \`connects\``);
        return [key, [readLimit(`routes.${key}`, `route:${encodeURIComponent(key)}`, limit, "open", now)]];
      }),
    ),
    refusals: new MemoryLimiter(maxRefusals, REFUSALS_WINDOW_MS, now),
  };
  if (filterCounters(counters, () => true) === undefined)
    throw invalidOption("A rate limit requires `connects`, `messages` or `routes`");
  return counters;
}

function readLimit(
  name: string,
  scope: string,
  limit: RateLimit,
  onFailure: "open" | "closed",
  now: () => number,
): Counter {
  checkOptions(limit, LIMIT_OPTIONS, { prefix: `${name}.` });
  const { by, ...rate } = limit;
  if (by === undefined || !isCompleteRate(rate)) {
    throw invalidOption(
      `The limit \`${name}\` requires \`by\`, and either \`limit\` and \`windowMs\`, or \`limiter\``,
    );
  }
  return { by, counter: new RateCounter(scope, rate, onFailure, now) };
}
