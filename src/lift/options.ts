import { type AuthorizerContext, type Connections, MAX_LIFETIME_MS } from "../apigw/index.ts";
import { Sampler } from "../internal/sampler.ts";
import type { ConnectionStore, Schedule } from "../store/index.ts";
import { checkOptions, hasMethods, isAtLeast, isFunction, isRecord } from "./check-options.ts";
import { awsConnectionsAt, type ConnectionsAt, memoizeByEndpoint } from "./connections/by-endpoint.ts";
import { GoneConnections } from "./connections/gone.ts";
import { LiftError } from "./errors.ts";
import { jsonLogger, type Logger } from "./logger.ts";
import type { Actions } from "./message-action.ts";
import type { Handler } from "./router.ts";
import type { ScheduleFailure } from "./scheduler/tick.ts";

/** Who a connection belongs to. A missing tenant is a scope of its own. */
export interface ConnectionIdentity {
  readonly userId?: string | undefined;
  readonly tenantId?: string | undefined;
}

export interface LiftOptions<State extends object> {
  /** Turns connection management on: rows are saved, read and removed, and `ctx.set` and `ctx.get` work. */
  readonly connectionStore?: ConnectionStore;
  /** Where what must happen later waits for `tick`. What needs it says so: `webSocketAuth` ends connections by it. */
  readonly schedule?: Schedule;
  /** When a failed scheduled action is tried again. */
  readonly scheduleRetry?: ScheduleRetry;
  /** Receives each failed attempt at a scheduled item, the last one too. The log has what it throws. */
  readonly onScheduleFailure?: (failure: ScheduleFailure) => unknown;
  /** Answers messages whose route is not registered. Default: a NOT_FOUND error frame. */
  readonly defaultHandler?: Handler<State>;
  /**
   * Names what the messages of `$default` ask for. Rate limits, metrics, traces and log lines use the name in place of
   * `$default`. Streamer names its own actions.
   */
  readonly actions?: Actions;
  /** Default: `jsonLogger()`, JSON lines on the console. */
  readonly logger?: Logger;
  /**
   * How messages are sent: by one port for all events, or by one for each endpoint that events name, asked for once
   * and kept. Default: `(endpoint) => awsConnections({ endpoint })`.
   */
  readonly connections?: Connections | ConnectionsAt;
  /**
   * Reads the identity from the authorizer's context; `undefined` says that it carries none, and then the
   * connection's row tells. Default: `sub` or `userId`, and `tenant_id` or `tenantId`; never `principalId`,
   * which many authorizers set to a constant.
   */
  readonly identity?: (authorizer: AuthorizerContext) => ConnectionIdentity | undefined;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
  /** ms that a connection lives at most; its row expires 10 minutes later. Default 7,200,000; minimum 1. */
  readonly lifetimeMs?: number;
  /** ms before the function is stopped that `ctx.signal` fires. Default 1,000; minimum 0. */
  readonly deadlineMarginMs?: number;
}

export interface ScheduleRetry {
  /** Attempts before an item becomes a dead letter. Default 20; an integer from 1, or `Infinity`. */
  readonly tries?: number;
  /** ms after the first failure, doubled with each that follows; the actual wait is between half of it and all. Default 1,000; minimum 1. */
  readonly firstMs?: number;
  /** ms between two attempts at most. Default 300,000; minimum `firstMs`. */
  readonly longestMs?: number;
}

/** What every event of an app shares. */
export interface Settings {
  readonly store: ConnectionStore | undefined;
  readonly schedule: Schedule | undefined;
  readonly scheduleRetry: Required<ScheduleRetry>;
  readonly onScheduleFailure: ((failure: ScheduleFailure) => unknown) | undefined;
  readonly gone: GoneConnections;
  readonly actions: Actions | undefined;
  readonly logger: Logger;
  /** Picks the lines to log of those that a client can cause as fast as it sends. */
  readonly refusals: Sampler;
  /** Where one port serves all events. */
  readonly connections: Connections | undefined;
  readonly connectionsAt: ConnectionsAt;
  readonly identity: (authorizer: AuthorizerContext) => ConnectionIdentity | undefined;
  readonly now: () => number;
  readonly lifetimeMs: number;
  readonly deadlineMarginMs: number;
}

const CHECKS: { readonly [name in keyof Required<LiftOptions<object>>]: (value: unknown) => boolean } = {
  connectionStore: hasMethods("save", "get", "delete", "setState", "updateState"),
  schedule: hasMethods("put", "listDue", "get", "recordFailure", "listDeadLetters", "delete"),
  scheduleRetry: isRecord,
  onScheduleFailure: isFunction,
  defaultHandler: isFunction,
  actions: hasMethods("read"),
  logger: hasMethods("debug", "info", "warn", "error"),
  connections: (value) => isFunction(value) || hasMethods("post", "broadcast", "get", "disconnect")(value),
  identity: isFunction,
  now: isFunction,
  lifetimeMs: isAtLeast(1),
  deadlineMarginMs: isAtLeast(0),
};

const RETRY_CHECKS: { readonly [name in keyof Required<ScheduleRetry>]: (value: unknown) => boolean } = {
  tries: isAttemptCount,
  firstMs: isAtLeast(1),
  longestMs: isAtLeast(1),
};

const SCHEDULE_RETRY: Required<ScheduleRetry> = { tries: 20, firstMs: 1_000, longestMs: 300_000 };

/** Attempts: an integer from 1, or `Infinity`. */
export function isAttemptCount(value: unknown): boolean {
  return value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && Number(value) >= 1);
}

/** @throws {LiftError} INVALID_OPTION */
function readScheduleRetry(given: ScheduleRetry): Required<ScheduleRetry> {
  checkOptions(given, RETRY_CHECKS);
  const { tries = SCHEDULE_RETRY.tries, firstMs = SCHEDULE_RETRY.firstMs } = given;
  const longestMs = given.longestMs ?? Math.max(SCHEDULE_RETRY.longestMs, firstMs);
  if (longestMs >= firstMs && Number.isFinite(longestMs)) return { tries, firstMs, longestMs };
  throw new LiftError("INVALID_OPTION", {
    message: "`scheduleRetry.longestMs` must be finite and at least `firstMs`",
  });
}

/** @throws {LiftError} INVALID_OPTION */
export function readOptions<State extends object>(options: LiftOptions<State>): Settings {
  checkOptions(options, CHECKS);
  const { connectionStore, connections, logger = jsonLogger(), now = Date.now } = options;
  return {
    store: connectionStore,
    schedule: options.schedule,
    actions: options.actions,
    scheduleRetry: readScheduleRetry(options.scheduleRetry ?? {}),
    onScheduleFailure: options.onScheduleFailure,
    gone: new GoneConnections(connectionStore, logger, now),
    logger,
    refusals: new Sampler(),
    connections: typeof connections === "function" ? undefined : connections,
    connectionsAt: typeof connections === "function" ? memoizeByEndpoint(connections) : awsConnectionsAt,
    identity: options.identity ?? identityFromAuthorizer,
    now,
    lifetimeMs: options.lifetimeMs ?? MAX_LIFETIME_MS,
    deadlineMarginMs: options.deadlineMarginMs ?? 1_000,
  };
}

/** The identity as authorizers commonly spell it; an empty string is nobody. */
export function identityFromAuthorizer(authorizer: AuthorizerContext): ConnectionIdentity | undefined {
  const userId = text(authorizer.sub) ?? text(authorizer.userId);
  const tenantId = text(authorizer.tenant_id) ?? text(authorizer.tenantId);
  return userId === undefined && tenantId === undefined ? undefined : { userId, tenantId };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
