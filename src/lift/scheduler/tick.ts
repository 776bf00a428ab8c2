import type { Connections } from "../../apigw/index.ts";
import { logText } from "../../internal/redact.ts";
import type { ConnectionStore, ItemFailure, Schedule, ScheduledItem, TimeBudget } from "../../store/index.ts";
import { connectionsAt } from "../connections/by-endpoint.ts";
import { Deadline } from "../deadline.ts";
import { LiftError } from "../errors.ts";
import { fromStore } from "../event-state.ts";
import type { Logger } from "../logger.ts";
import { logSafely } from "../logger.ts";
import type { Settings } from "../options.ts";
import { backoffMs } from "./backoff.ts";
import { forEachInLanes } from "./lanes.ts";

/** What an action runs with. */
export interface Tick extends TimeBudget {
  readonly store: ConnectionStore | undefined;
  readonly schedule: Schedule;
  readonly logger: Logger;
  /** Fires before the time that the tick has is over. */
  readonly signal: AbortSignal;
  /** ms since the epoch. */
  now(): number;
  /** @connections at a row's endpoint. */
  connectionsAt(endpoint: string): Connections;
  /**
   * Whether an item is still due as it was read. The tick asks before it runs the action; an action that has waited
   * asks again before it changes anything. @throws {LiftError} STORE_FAILED
   */
  isStillDue(item: ScheduledItem): Promise<boolean>;
}

/**
 * Does what an item is there for. It may be called twice for one item, and at once in two places, so it looks
 * whether there is anything to do. When it throws, the item is tried again later, and after its last attempt becomes a
 * dead letter. When the action puts the item again under another time, it stays for then.
 */
export type ScheduledAction = (item: ScheduledItem, tick: Tick) => unknown;

export interface ScheduledOptions {
  /**
   * Attempts before an item becomes a dead letter. Default: the app's `scheduleRetry.tries`; minimum 1. `Infinity`: the
   * item is tried again at the longest interval until the schedule drops it.
   */
  readonly tries?: number;
}

/** An action with its options. */
export interface ScheduledEntry extends ScheduledOptions {
  readonly action: ScheduledAction;
}

/** A failed attempt at an item, for `onScheduleFailure`. */
export interface ScheduleFailure {
  readonly item: ScheduledItem;
  readonly error: unknown;
  /** Attempts that have failed, this one included. */
  readonly failures: number;
  /** When the next attempt is due, in ms since the epoch. Absent: the item is a dead letter now. */
  readonly nextAt?: number;
}

/** What a tick did. */
export interface TickReport {
  readonly done: number;
  /** To be tried again later, or dead letters; the log has the reasons. */
  readonly failed: number;
  /** `false`: the time was over, or items of a kind that fails one after the other were left for the next tick. */
  readonly complete: boolean;
}

/** Actions under way at a time. */
const CONCURRENCY = 32;

/** Characters of an error that are kept with its item. */
const CAUSE_LENGTH = 300;

/** Acts on everything that is due. @throws {LiftError} STORE_FAILED when that could not be read */
export async function runTick(
  schedule: Schedule,
  actions: ReadonlyMap<string, ScheduledEntry>,
  settings: Settings,
  budget: TimeBudget,
): Promise<TickReport> {
  const deadline = new Deadline(budget, settings.deadlineMarginMs);
  const { signal } = deadline;
  const run = new TickRun(schedule, actions, settings, budget, signal);
  try {
    const options = { laneOf: laneName, concurrency: CONCURRENCY, signal };
    const complete = await fromStore(
      forEachInLanes(schedule.listDue(settings.now()), (item) => run.act(item), options),
    );
    if (!complete) await run.giveUp();
    return { ...run.counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** Kinds take turns, and what has failed before does not keep back what has not. */
function laneName({ kind, failures = 0 }: ScheduledItem): string {
  return JSON.stringify([kind, failures > 0]);
}

class TickRun {
  readonly counts = { done: 0, failed: 0 };
  readonly #actions: ReadonlyMap<string, ScheduledEntry>;
  readonly #settings: Settings;
  readonly #schedule: Schedule;
  readonly #tick: Tick;
  readonly #underWay = new Set<ScheduledItem>();

  constructor(
    schedule: Schedule,
    actions: ReadonlyMap<string, ScheduledEntry>,
    settings: Settings,
    budget: TimeBudget,
    signal: AbortSignal,
  ) {
    const { store, logger, now } = settings;
    this.#actions = actions;
    this.#settings = settings;
    this.#schedule = schedule;
    this.#tick = {
      store,
      schedule,
      logger,
      signal,
      now,
      connectionsAt: (endpoint) => connectionsAt(endpoint, settings),
      getRemainingTimeInMillis: () => budget.getRemainingTimeInMillis(),
      isStillDue: (item) => isStillDue(item, schedule, budget),
    };
  }

  /** Resolves to whether the item's action has succeeded. */
  async act(read: ScheduledItem): Promise<boolean> {
    const { failures: _, ...item } = read;
    this.#underWay.add(read);
    try {
      const { action } = actionFor(item, this.#actions);
      if (!(await this.#tick.isStillDue(item))) return true;
      await action(item, this.#tick);
      await this.#schedule.delete(item, this.#tick);
      this.counts.done++;
      return true;
    } catch (error) {
      this.counts.failed++;
      // The tick has ended, and has kept that it had no time for it.
      if (this.#underWay.has(read)) await this.#failed(read, error);
      return false;
    } finally {
      this.#underWay.delete(read);
    }
  }

  /** An action that is never over must not be the first one of each tick. */
  async giveUp(): Promise<void> {
    const left = [...this.#underWay];
    this.#underWay.clear();
    await Promise.all(left.map((item) => this.#failed(item, new LiftError("TIMEOUT"))));
  }

  async #failed({ failures: before = 0, ...item }: ScheduledItem, error: unknown): Promise<void> {
    const { logger, scheduleRetry, now, onScheduleFailure } = this.#settings;
    const failures = before + 1;
    const entry = this.#actions.get(item.kind);
    // An item of an unknown kind belongs to another version of the app, and stays for that.
    if (entry === undefined)
      return logSafely(logger, "error", "A scheduled action failed", { ...itemFields(item), error });
    const isDead = failures >= (entry.tries ?? scheduleRetry.tries);
    const at = now();
    const nextAt = isDead ? undefined : Math.ceil(at + backoffMs(scheduleRetry, failures));
    const message = isDead ? "A scheduled action failed for the last time" : "A scheduled action failed";
    logSafely(logger, "error", message, { ...itemFields(item), failures, error });
    const next = nextAt === undefined ? {} : { dueAt: nextAt };
    await this.#keep(item, { failures, cause: describeError(error), at, ...next });
    try {
      await onScheduleFailure?.({ item, error, failures, ...(nextAt === undefined ? {} : { nextAt }) });
    } catch (thrown) {
      logSafely(logger, "error", "`onScheduleFailure` failed", { ...itemFields(item), error: thrown });
    }
  }

  async #keep(item: ScheduledItem, failure: ItemFailure): Promise<void> {
    try {
      await this.#schedule.recordFailure(item, failure, this.#tick);
    } catch (error) {
      logSafely(this.#settings.logger, "error", "A failure was not kept in the schedule", {
        ...itemFields(item),
        error,
      });
    }
  }
}

async function isStillDue(item: ScheduledItem, schedule: Schedule, budget: TimeBudget): Promise<boolean> {
  const found = await fromStore(schedule.get(item, budget));
  return found !== undefined && found.dueAt === Math.ceil(item.dueAt);
}

/** Of a kind that this app does not know another version of it may: its items stay. */
function actionFor({ kind }: ScheduledItem, actions: ReadonlyMap<string, ScheduledEntry>): ScheduledEntry {
  const entry = actions.get(kind);
  if (entry === undefined) throw new Error(`No action is registered for the kind ${kind}`);
  return entry;
}

function itemFields({ kind, id }: ScheduledItem) {
  return { kind, id };
}

function describeError(error: unknown): string {
  // An own error's message is for clients: its cause tells more.
  const { cause } = error instanceof LiftError ? error : {};
  const text = cause === undefined ? String(error) : `${String(error)}: ${String(cause)}`;
  return logText(text, CAUSE_LENGTH);
}
