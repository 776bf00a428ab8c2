import { type AuthorizerContext, type Connections, MAX_LIFETIME_MS } from "../apigw/index.ts";
import { anyFunction, atLeast, either, type OptionChecks, record, withMethods } from "../internal/options.ts";
import { Sampler } from "../internal/sampler.ts";
import type { ConnectionStore, Schedule } from "../store/index.ts";
import { awsConnectionsAt, type ConnectionsAt, memoizeByEndpoint } from "./connections/by-endpoint.ts";
import { GoneConnections } from "./connections/gone.ts";
import { checkOptions } from "./errors.ts";
import { jsonLogger, type Logger } from "./logger.ts";
import type { Actions, Handler } from "./router.ts";
import { readScheduleRetry } from "./scheduler/schedule-retry.ts";
import type { ScheduleFailure, ScheduleRetry } from "./scheduler/scheduled-action.ts";
import type { ConnectionIdentity, Settings } from "./settings.ts";

/** Options of `Lift`. */
export interface LiftOptions<State extends object> {
  /** Enables connection management: Lift saves, reads and removes rows, and `ctx.set` and `ctx.get` work. Default: none. */
  readonly connectionStore?: ConnectionStore;
  /** Stores work for later, which `tick` runs. `webSocketAuth` uses it to close connections at their expiry. Default: none. */
  readonly schedule?: Schedule;
  /** Backoff for scheduled actions that fail. */
  readonly scheduleRetry?: ScheduleRetry;
  /** Called after each failed attempt at a scheduled item, the last one included. An error that it throws is logged. */
  readonly onScheduleFailure?: (failure: ScheduleFailure) => unknown;
  /** Handles messages whose route is not registered. Default: a NOT_FOUND error frame. */
  readonly defaultHandler?: Handler<State>;
  /**
   * Names the actions of the messages on `$default`. Rate limits, metrics, traces and log lines use the name in place of
   * `$default`. Streamer names its own actions. Default: none.
   */
  readonly actions?: Actions;
  /** Default: `jsonLogger()`, which writes JSON lines to the console. */
  readonly logger?: Logger;
  /**
   * Sends messages: one API for all events, or a function that returns the API of an endpoint and is called once for each.
   * Default: `(endpoint) => awsConnections({ endpoint })`.
   */
  readonly connections?: Connections | ConnectionsAt;
  /**
   * Reads the identity from the authorizer's context. If it returns `undefined`, the connection's row has the identity.
   * Default: `sub` or `userId`, and `tenant_id` or `tenantId`; never `principalId`, which many authorizers set to a
   * constant.
   */
  readonly identity?: (authorizer: AuthorizerContext) => ConnectionIdentity | undefined;
  /** Returns the time in ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
  /** Longest life of a connection, in ms. Its row expires 10 minutes later. Default 7,200,000; minimum 1. */
  readonly lifetimeMs?: number;
  /** Time before the end of the function at which `ctx.signal` aborts, in ms. Default 1,000; minimum 0. */
  readonly deadlineMarginMs?: number;
}

const CHECKS: OptionChecks<LiftOptions<object>> = {
  connectionStore: withMethods("save", "get", "delete", "setState", "updateState"),
  schedule: withMethods("put", "listDue", "get", "recordFailure", "listDeadLetters", "delete"),
  scheduleRetry: record,
  onScheduleFailure: anyFunction,
  defaultHandler: anyFunction,
  actions: withMethods("read"),
  logger: withMethods("debug", "info", "warn", "error"),
  connections: either(anyFunction, withMethods("post", "broadcast", "get", "disconnect")),
  identity: anyFunction,
  now: anyFunction,
  lifetimeMs: atLeast(1),
  deadlineMarginMs: atLeast(0),
};

/** @throws {LiftError} INVALID_OPTION */
export function readOptions<State extends object>(options: LiftOptions<State>): Settings {
  checkOptions(options, CHECKS);
  const { connectionStore, connections, logger = jsonLogger(), now = Date.now } = options;
  return {
    store: connectionStore,
    schedule: options.schedule,
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

/** Reads the identity from the fields that authorizers commonly use. An empty string means none. */
function identityFromAuthorizer(authorizer: AuthorizerContext): ConnectionIdentity | undefined {
  const userId = nonEmpty(authorizer.sub) ?? nonEmpty(authorizer.userId);
  const tenantId = nonEmpty(authorizer.tenant_id) ?? nonEmpty(authorizer.tenantId);
  return userId === undefined && tenantId === undefined ? undefined : { userId, tenantId };
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
