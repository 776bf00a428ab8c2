import { logSafely, runSafely } from "../../internal/log-safely.ts";
import { logText } from "../../internal/redact.ts";
import type { ItemFailure, Schedule, ScheduledItem, TimeBudget } from "../../store/index.ts";
import { connectionsAt } from "../connections/by-endpoint.ts";
import { Deadline, untilDeadline } from "../deadline.ts";
import { LiftError } from "../errors.ts";
import { fromStore } from "../event-state.ts";
import type { AppSettings } from "../settings.ts";
import { forEachInLanes } from "./for-each.ts";
import { backoffMs } from "./schedule-retry.ts";
import type { ScheduledEntry, Tick, TickReport } from "./scheduled-action.ts";

/** Actions that run concurrently. */
const CONCURRENCY = 32;

/** Most characters of an error that are stored with its item. */
const CAUSE_LENGTH = 300;

/**
 * Runs the actions of all due items, in parallel with the actions of `everyTick`.
 * @throws {LiftError} STORE_FAILED when the schedule cannot be read
 */
export async function runTick(
  actions: ReadonlyMap<string, ScheduledEntry>,
  everyTick: readonly (() => unknown)[],
  settings: AppSettings,
  budget: TimeBudget,
): Promise<TickReport> {
  const running = Promise.all(everyTick.map((action) => runEveryTick(action, settings, budget)));
  try {
    if (settings.schedule === undefined) return { done: 0, failed: 0, complete: true };
    return await runDueItems(settings.schedule, actions, settings, budget);
  } finally {
    await running;
  }
}

/** Runs an action of `everyTick`, and waits for it until the deadline. An error after the deadline is logged too. */
async function runEveryTick(
  action: () => unknown,
  { logger, deadlineMarginMs }: AppSettings,
  budget: TimeBudget,
): Promise<void> {
  try {
    const run = runSafely(action, logger, "An `everyTick` action failed");
    await untilDeadline(run, budget, deadlineMarginMs);
  } catch {
    logSafely(logger, "error", "An `everyTick` action did not end before the end of the tick", {});
  }
}

async function runDueItems(
  schedule: Schedule,
  actions: ReadonlyMap<string, ScheduledEntry>,
  settings: AppSettings,
  budget: TimeBudget,
): Promise<TickReport> {
  const deadline = new Deadline(budget, settings.deadlineMarginMs);
  const { signal } = deadline;
  const run = new TickRun(schedule, actions, settings, budget, signal);
  try {
    const options = { laneOf: laneName, concurrency: CONCURRENCY, signal };
    const complete = await fromStore(
      forEachInLanes(schedule.listDue(settings.now()), (item) => run.run(item), options),
    );
    if (!complete) await run.failRunning();
    return { ...run.counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** Kinds take turns, and retries of a kind do not delay its first attempts. */
function laneName({ kind, failures = 0 }: ScheduledItem): string {
  return JSON.stringify([kind, failures > 0]);
}

class TickRun {
  readonly counts = { done: 0, failed: 0 };
  readonly #actions: ReadonlyMap<string, ScheduledEntry>;
  readonly #settings: AppSettings;
  readonly #schedule: Schedule;
  readonly #tick: Tick;
  readonly #running = new Set<ScheduledItem>();

  constructor(
    schedule: Schedule,
    actions: ReadonlyMap<string, ScheduledEntry>,
    settings: AppSettings,
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

  /** Resolves to whether the item's action succeeded. */
  async run(read: ScheduledItem): Promise<boolean> {
    const { failures: _, ...item } = read;
    this.#running.add(read);
    try {
      const { action } = actionFor(item, this.#actions);
      if (!(await this.#tick.isStillDue(item))) return true;
      await action(item, this.#tick);
      await this.#schedule.delete(item, this.#tick);
      this.counts.done++;
      return true;
    } catch (error) {
      this.counts.failed++;
      // Otherwise the tick has ended, and `failRunning` has recorded a timeout for it.
      if (this.#running.has(read)) await this.#recordFailure(read, error);
      return false;
    } finally {
      this.#running.delete(read);
    }
  }

  /** Fails the running items, so that an action that never ends does not come first in each tick. */
  async failRunning(): Promise<void> {
    const running = [...this.#running];
    this.#running.clear();
    await Promise.all(running.map((item) => this.#recordFailure(item, new LiftError("TIMEOUT"))));
  }

  async #recordFailure({ failures: before = 0, ...item }: ScheduledItem, error: unknown): Promise<void> {
    const { logger, scheduleRetry, now, onScheduleFailure } = this.#settings;
    const failures = before + 1;
    const entry = this.#actions.get(item.kind);
    if (entry === undefined) {
      // The item belongs to another version of the app, and stays for it.
      return logSafely(logger, "error", "A scheduled action failed", { ...itemFields(item), error });
    }
    const isDead = failures >= (entry.tries ?? scheduleRetry.tries);
    const at = now();
    const nextAt = isDead ? undefined : Math.ceil(at + backoffMs(scheduleRetry, failures));
    const message = isDead
      ? "A scheduled action failed for the last time; its item is now a dead letter"
      : "A scheduled action failed";
    logSafely(logger, "error", message, { ...itemFields(item), failures, error });
    const next = nextAt === undefined ? {} : { dueAt: nextAt };
    await this.#storeFailure(item, { failures, cause: describeError(error), at, ...next });
    try {
      await onScheduleFailure?.({ item, error, failures, ...(nextAt === undefined ? {} : { nextAt }) });
    } catch (thrown) {
      logSafely(logger, "error", "`onScheduleFailure` failed", { ...itemFields(item), error: thrown });
    }
  }

  async #storeFailure(item: ScheduledItem, failure: ItemFailure): Promise<void> {
    try {
      await this.#schedule.recordFailure(item, failure, this.#tick);
    } catch (error) {
      logSafely(this.#settings.logger, "error", "The failure of a scheduled item was not stored", {
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

/** Throws for an unknown kind: its items stay, because another version of the app may know it. */
function actionFor({ kind }: ScheduledItem, actions: ReadonlyMap<string, ScheduledEntry>): ScheduledEntry {
  const entry = actions.get(kind);
  if (entry === undefined) throw new Error(`No action is registered for the kind \`${kind}\``);
  return entry;
}

function itemFields({ kind, id }: ScheduledItem) {
  return { kind, id };
}

function describeError(error: unknown): string {
  // The message of a LiftError is for clients; its cause has the details.
  const { cause } = error instanceof LiftError ? error : {};
  const text = cause === undefined ? String(error) : `${String(error)}: ${String(cause)}`;
  return logText(text, CAUSE_LENGTH);
}
