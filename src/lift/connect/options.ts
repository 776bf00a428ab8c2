import { type AuthorizerContext, MAX_LIFETIME_MS } from "../../apigw/index.ts";
import { anyFunction, atLeast, type OptionChecks, withMethods } from "../../internal/options.ts";
import { Sampler } from "../../internal/sampler.ts";
import type { ConnectionStore, Schedule } from "../../store/index.ts";
import { jsonLogger, type Logger } from "../logger.ts";
import type { ConnectionIdentity, Settings } from "../settings.ts";

/** Options that apply to `$connect` too. */
export interface EventOptions {
  /** Enables connection management: Lift saves, reads and removes rows, and `ctx.set` and `ctx.get` work. Default: none. */
  readonly connectionStore?: ConnectionStore;
  /** Stores work for later, which `tick` runs. `webSocketAuth` uses it to close connections at their expiry. Default: none. */
  readonly schedule?: Schedule;
  /** Default: `jsonLogger()`, which writes JSON lines to the console. */
  readonly logger?: Logger;
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

export const EVENT_CHECKS: OptionChecks<EventOptions> = {
  connectionStore: withMethods("save", "get", "delete", "setState", "updateState"),
  schedule: withMethods("put", "listDue", "get", "recordFailure", "listDeadLetters", "delete"),
  logger: withMethods("debug", "info", "warn", "error"),
  identity: anyFunction,
  now: anyFunction,
  lifetimeMs: atLeast(1),
  deadlineMarginMs: atLeast(0),
};

/** Applies the defaults. */
export function eventSettings(options: EventOptions): Settings {
  return {
    store: options.connectionStore,
    schedule: options.schedule,
    logger: options.logger ?? jsonLogger(),
    refusals: new Sampler(),
    identity: options.identity ?? identityFromAuthorizer,
    now: options.now ?? Date.now,
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
