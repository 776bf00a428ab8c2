import type { AuthorizerContext, Connections } from "../apigw/index.ts";
import type { Sampler } from "../internal/sampler.ts";
import type { ConnectionStore, Schedule } from "../store/index.ts";
import type { ConnectionsSource } from "./connections/by-endpoint.ts";
import type { GoneConnections } from "./connections/gone.ts";
import type { Logger } from "./logger.ts";
import type { ScheduleFailure, ScheduleRetry } from "./scheduler/scheduled-action.ts";

/** The user and tenant of a connection. A missing tenant is a scope of its own. */
export interface ConnectionIdentity {
  /** Id of the user. Absent for anonymous connections. */
  readonly userId?: string | undefined;
  /** Id of the tenant. */
  readonly tenantId?: string | undefined;
}

/** Options with defaults applied. All events share them. */
export interface Settings {
  readonly store: ConnectionStore | undefined;
  readonly schedule: Schedule | undefined;
  readonly logger: Logger;
  /** Samples the log lines that a client can cause as fast as it sends. */
  readonly refusals: Sampler;
  readonly identity: (authorizer: AuthorizerContext) => ConnectionIdentity | undefined;
  readonly now: () => number;
  readonly lifetimeMs: number;
  readonly deadlineMarginMs: number;
}

/** The settings of an app, which also sends and ticks. */
export interface AppSettings extends Settings, ConnectionsSource {
  readonly scheduleRetry: Required<ScheduleRetry>;
  readonly onScheduleFailure: ((failure: ScheduleFailure) => unknown) | undefined;
  readonly gone: GoneConnections;
}

/** Wrappers for what one event sends and stores with, such as a counter or a tracer. */
export interface Instruments {
  /** Wraps the @connections API. */
  connections?(connections: Connections): Connections;
  /** Wraps the connection store. It is not called for an app without a store. */
  store?(store: ConnectionStore): ConnectionStore;
}
