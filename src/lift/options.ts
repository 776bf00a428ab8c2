import type { Connections } from "../apigw/index.ts";
import { anyFunction, either, type OptionChecks, record, withMethods } from "../internal/options.ts";
import { EVENT_CHECKS, type EventOptions, eventSettings } from "./connect/options.ts";
import { awsConnections } from "./connections/aws.ts";
import { type ConnectionsAt, memoizeByEndpoint } from "./connections/by-endpoint.ts";
import { GoneConnections } from "./connections/gone.ts";
import { checkOptions } from "./errors.ts";
import type { Actions, Handler } from "./router.ts";
import { readScheduleRetry } from "./scheduler/schedule-retry.ts";
import type { ScheduleFailure, ScheduleRetry } from "./scheduler/scheduled-action.ts";
import type { AppSettings } from "./settings.ts";

/** Options of `Lift`. */
export interface LiftOptions<State extends object> extends EventOptions {
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
  /**
   * Sends messages: one API for all events, or a function that returns the API of an endpoint and is called once for each.
   * Default: `(endpoint) => awsConnections({ endpoint })`.
   */
  readonly connections?: Connections | ConnectionsAt;
}

const CHECKS: OptionChecks<LiftOptions<object>> = {
  ...EVENT_CHECKS,
  scheduleRetry: record,
  onScheduleFailure: anyFunction,
  defaultHandler: anyFunction,
  actions: withMethods("read"),
  connections: either(anyFunction, withMethods("post", "broadcast", "get", "disconnect")),
};

/** All apps of a process share it, sockets included. */
const awsConnectionsAt = memoizeByEndpoint((endpoint) => awsConnections({ endpoint }));

/** @throws {LiftError} INVALID_OPTION */
export function readOptions<State extends object>(options: LiftOptions<State>): AppSettings {
  checkOptions(options, CHECKS);
  const { connections } = options;
  const settings = eventSettings(options);
  return {
    ...settings,
    scheduleRetry: readScheduleRetry(options.scheduleRetry ?? {}),
    onScheduleFailure: options.onScheduleFailure,
    gone: new GoneConnections(settings.store, settings.logger, settings.now),
    connections: typeof connections === "function" ? undefined : connections,
    connectionsAt: typeof connections === "function" ? memoizeByEndpoint(connections) : awsConnectionsAt,
  };
}
