import { StoreError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/** An action that must happen later. */
export interface ScheduledItem {
  /** The name of the action. `kind` and `id` together are the item's key. */
  readonly kind: string;
  /** The subject of the action, such as a connection id. */
  readonly id: string;
  /** ms since the epoch, 0 or more; a fraction is rounded up. */
  readonly dueAt: number;
  /** The data of the action. Keep it small: an item over 1 KB, key included, costs more write units. */
  readonly data: JsonObject;
  /** Number of failed attempts since `put`. Absent: none. */
  readonly failures?: number;
}

/** An item's key, and the `dueAt` with which it was read. */
export type ScheduledItemVersion = Pick<ScheduledItem, "kind" | "id" | "dueAt">;

/** A failed attempt of an item's action. */
export interface ItemFailure {
  /** Number of failed attempts, this one included. */
  readonly failures: number;
  /** The error, in one line. */
  readonly cause: string;
  /** ms since the epoch: time of the next attempt. Absent: the item becomes a dead letter. */
  readonly dueAt?: number;
  /** ms since the epoch: time of the failure. */
  readonly at: number;
}

/** An item whose last attempt has failed. Its `dueAt` is the time of that attempt. */
export interface DeadLetter extends ScheduledItem {
  readonly failures: number;
  /** The last error, in one line. */
  readonly cause: string;
}

/**
 * Stores actions that must happen later. A tick lists the due items, acts, and deletes them. Every implementation
 * guarantees:
 *
 * - Listing changes nothing: an item stays due, for every caller, until it is deleted. So a process that dies loses no
 *   item. An action must tolerate being run twice, even concurrently.
 * - A due item may be listed seconds late, and once more just after it was moved or deleted.
 * - `get` sees every `put`, `recordFailure` and `delete` that was acknowledged before it.
 * - Every call may be repeated; the second one changes nothing.
 * - An item that nobody deletes is dropped a week after it was first due, at the earliest. A failure does not extend that
 *   time. A dead letter is dropped a week after its last failure.
 */
export interface Schedule {
  /**
   * Adds an item, or replaces the item or dead letter with the same kind and id.
   * @throws {StoreError} STORE_REFUSED when `dueAt` is not a time
   */
  put(item: ScheduledItem, budget?: TimeBudget): Promise<void>;

  /**
   * Lists all items that are due, the oldest first within each of the store's partitions.
   * @param now ms since the epoch
   */
  listDue(now: number): AsyncIterable<ScheduledItem>;

  /** @returns the current item; `undefined` when there is none, or when it is a dead letter */
  get(item: Pick<ScheduledItem, "kind" | "id">, budget?: TimeBudget): Promise<ScheduledItem | undefined>;

  /**
   * Records a failure in its item and reschedules the item. Does nothing when the item was rescheduled since it was read.
   */
  recordFailure(item: ScheduledItemVersion, failure: ItemFailure, budget?: TimeBudget): Promise<void>;

  /** Lists all dead letters. `put` schedules one again; `delete` removes it. */
  listDeadLetters(): AsyncIterable<DeadLetter>;

  /**
   * Lists all items, due or not, without dead letters. Optional: only for stores in this process's memory.
   * `lift-ws dev` moves the items with it when it reloads the app.
   */
  listAll?(): Iterable<ScheduledItem>;

  /** Removes an item. Does nothing when the item was rescheduled since it was read. */
  delete(item: ScheduledItemVersion, budget?: TimeBudget): Promise<void>;
}

/**
 * Rounds an item's `dueAt` up to whole ms, so that the item is never early. For implementations of `Schedule`.
 * @throws {StoreError} STORE_REFUSED when `dueAt` is not a time: such an item would never be due
 * @example
 * parseDueTime(1_000.25); // 1001
 */
export function parseDueTime(dueAt: number): number {
  const due = Math.ceil(dueAt);
  if (Number.isSafeInteger(due) && dueAt >= 0) return due;
  throw new StoreError(
    "STORE_REFUSED",
    `\`dueAt\` must be ms since the epoch, from 0 to ${Number.MAX_SAFE_INTEGER}; got ${dueAt}`,
  );
}
