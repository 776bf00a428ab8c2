import type { Connections } from "../../apigw/index.ts";
import type { ConnectionStore, Schedule, ScheduledItem, TimeBudget } from "../../store/index.ts";
import type { Logger } from "../logger.ts";

/** Context of a scheduled action. */
export interface Tick extends TimeBudget {
  /** The app's `connectionStore`. */
  readonly store: ConnectionStore | undefined;
  /** The app's `schedule`. */
  readonly schedule: Schedule;
  /** The app's logger. */
  readonly logger: Logger;
  /** Aborts `deadlineMarginMs` before the tick's time budget ends. */
  readonly signal: AbortSignal;
  /** Returns the app's clock in ms since the epoch. */
  now(): number;
  /** Returns the @connections API of an endpoint, such as the one in a connection's row. */
  connectionsAt(endpoint: string): Connections;
  /**
   * Resolves to whether an item is still due at the time with which it was read. The tick checks before it runs the
   * action. An action that has waited checks again before it changes anything.
   * @throws {LiftError} STORE_FAILED
   */
  isStillDue(item: ScheduledItem): Promise<boolean>;
}

/**
 * Handles one due item. It must be idempotent: an item may be handled twice, and in two processes at once. When it
 * throws, the item is retried with backoff and becomes a dead letter after its last attempt. When it puts the same item
 * into the schedule with another due time, the item stays there until then.
 */
export type ScheduledAction = (item: ScheduledItem, tick: Tick) => unknown;

/** Options of one kind of scheduled items. */
export interface ScheduledOptions {
  /**
   * Attempts before an item becomes a dead letter. Default: the app's `scheduleRetry.tries`; minimum 1. `Infinity`
   * retries at the longest interval until the schedule drops the item.
   */
  readonly tries?: number;
}

/** A scheduled action with its options. */
export interface ScheduledEntry extends ScheduledOptions {
  /** Handles each due item of the kind. */
  readonly action: ScheduledAction;
}

/** Backoff for scheduled actions that fail. */
export interface ScheduleRetry {
  /** Attempts before an item becomes a dead letter. Default 20; an integer from 1, or `Infinity`. */
  readonly tries?: number;
  /**
   * Delay after the first failure, in ms. It doubles with each further failure; the actual delay is a random part
   * between half and all of it. Default 1,000; minimum 1.
   */
  readonly firstMs?: number;
  /** Longest delay between two attempts, in ms. Default 300,000; minimum `firstMs`. */
  readonly longestMs?: number;
}

/** A failed attempt at a scheduled item, as `onScheduleFailure` receives it. */
export interface ScheduleFailure {
  /** The item whose action failed. */
  readonly item: ScheduledItem;
  /** The value that the action threw, or a TIMEOUT error. */
  readonly error: unknown;
  /** Failed attempts, this one included. */
  readonly failures: number;
  /** Due time of the next attempt, in ms since the epoch. Absent when the item is now a dead letter. */
  readonly nextAt?: number;
}

/** Result of a tick. */
export interface TickReport {
  /** Items that were handled. */
  readonly done: number;
  /** Items that will be retried or are now dead letters. The log has the reasons. */
  readonly failed: number;
  /** `false` when the time ran out, or when a kind that kept failing left items for the next tick. */
  readonly complete: boolean;
}
