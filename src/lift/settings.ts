import type { AuthorizerContext, Connections, WebSocketEvent } from "../apigw/index.ts";
import type { Sampler } from "../internal/sampler.ts";
import type { ConnectionStore, Schedule } from "../store/index.ts";
import { type ConnectionsSource, connectionsOf } from "./connections/by-endpoint.ts";
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

/** The app's options with defaults applied. All events share them. */
export interface Settings extends ConnectionsSource {
  readonly store: ConnectionStore | undefined;
  readonly schedule: Schedule | undefined;
  readonly scheduleRetry: Required<ScheduleRetry>;
  readonly onScheduleFailure: ((failure: ScheduleFailure) => unknown) | undefined;
  readonly gone: GoneConnections;
  readonly logger: Logger;
  /** Samples the log lines that a client can cause as fast as it sends. */
  readonly refusals: Sampler;
  readonly identity: (authorizer: AuthorizerContext) => ConnectionIdentity | undefined;
  readonly now: () => number;
  readonly lifetimeMs: number;
  readonly deadlineMarginMs: number;
}

/** Wrappers for what one event sends and stores with, such as a counter or a tracer. */
export interface Instruments {
  /** Wraps the @connections API. */
  connections?(connections: Connections): Connections;
  /** Wraps the connection store. It is not called for an app without a store. */
  store?(store: ConnectionStore): ConnectionStore;
}

/** Returns the settings of one event with its @connections API and its store wrapped. */
export function withInstruments(
  settings: Settings,
  event: WebSocketEvent,
  instruments: Instruments,
): Settings {
  const { store } = settings;
  return {
    ...settings,
    connections: instruments.connections?.(connectionsOf(event, settings)) ?? settings.connections,
    store: (store && instruments.store?.(store)) ?? store,
  };
}
