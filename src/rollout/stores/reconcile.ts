import { anyFunction, boolean, integer, type OptionChecks, withMethods } from "../../internal/options.ts";
import { Semaphore } from "../../internal/semaphore.ts";
import type { ConnectionStore } from "../../store/index.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import {
  type CompareRows,
  callBudget,
  differingFields,
  RowComparison,
  type RowDifference,
  stateChanges,
} from "./differences.ts";

/** Options of `reconcile`. */
export interface ReconcileOptions {
  /** The `cursor` of an interrupted run, from which this one continues. Default: the first row. */
  readonly cursor?: string;
  /** Rows per page; progress is reported after each. Default 1,000; minimum 1. */
  readonly pageSize?: number;
  /** Rows that are compared at once. Default 16; minimum 1. */
  readonly concurrency?: number;
  /** Compares two rows. Default `differingFields`. */
  readonly compare?: CompareRows;
  /**
   * Deletes rows that only the secondary has. Default false: they are reported, and expire. Set it only when no process uses
   * the stores with swapped roles, because such a process writes to this secondary first.
   */
  readonly removeExtra?: boolean;
  /** Called, and awaited, after each page. Store `cursor` to continue after a crash. */
  readonly onProgress?: (progress: ReconcileProgress) => unknown;
  /** Stops after the current page; the report then has a `cursor`. */
  readonly signal?: AbortSignal;
  /** Time limit of each call to a store in ms. Default 5,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** The progress of `reconcile`. */
export interface ReconcileProgress {
  /** Rows compared since the start of this run. */
  readonly checked: number;
  /** Rows that this run made equal. */
  readonly repaired: number;
  /** Rows that still differ: their user, tenant or other fixed fields do, or only the secondary has them. */
  readonly remaining: number;
  /** Continues after the last page. Absent when all rows have been compared. */
  readonly cursor?: string;
}

/** The result of `reconcile`. */
export interface ReconcileReport extends ReconcileProgress {
  /** The first 1,000 of the rows that still differ. */
  readonly differences: readonly RowDifference[];
}

const OPTIONS: OptionChecks<ReconcileOptions> = {
  cursor: {
    test: (value) => typeof value === "string" && /^[ps]:/.test(value),
    expected: "a `cursor` of a report",
  },
  pageSize: integer(1),
  concurrency: integer(1),
  compare: anyFunction,
  removeExtra: boolean,
  onProgress: anyFunction,
  signal: withMethods("throwIfAborted"),
  timeoutMs: integer(1),
  now: anyFunction,
};

const MAX_DIFFERENCES = 1_000;

/** A row that other calls keep changing is repaired this many times before it counts as different. */
const ATTEMPTS = 3;

/**
 * Makes the secondary store equal to the primary: backfills missing rows, writes differing state, and finds rows that only
 * the secondary has. It may run while both are in use, and again at any time.
 * @throws {RolloutError} INVALID_OPTION, NOT_LISTABLE
 * @throws {StoreError} of a store; run it again with the last `cursor`
 * @example
 * const report = await reconcile(oldStore, newStore, {
 *   onProgress: ({ checked, cursor }) => console.log(checked, cursor),
 * });
 * if (report.remaining > 0) console.log(report.differences);
 */
export async function reconcile(
  primary: ConnectionStore,
  secondary: ConnectionStore,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  checkOptions(options, OPTIONS);
  return new Reconciliation(primary, secondary, options).run();
}

class Reconciliation {
  readonly #primary: ConnectionStore;
  readonly #secondary: ConnectionStore;
  readonly #options: ReconcileOptions;
  readonly #comparison: RowComparison;
  readonly #slots: Semaphore;
  readonly #now: () => number;
  readonly #differences: RowDifference[] = [];
  #checked = 0;
  #repaired = 0;
  #remaining = 0;

  constructor(primary: ConnectionStore, secondary: ConnectionStore, options: ReconcileOptions) {
    this.#primary = primary;
    this.#secondary = secondary;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#comparison = new RowComparison(options.compare ?? differingFields, this.#now);
    this.#slots = new Semaphore(options.concurrency ?? 16);
  }

  async run(): Promise<ReconcileReport> {
    const { cursor = "p:", onProgress, signal } = this.#options;
    let next: string | undefined = cursor;
    while (next !== undefined && signal?.aborted !== true) {
      next = await this.#runPage(next);
      await onProgress?.(this.#progress(next));
    }
    return { ...this.#progress(next), differences: this.#differences };
  }

  /** A cursor is the store, `p` or `s`, and the position in its list. */
  async #runPage(cursor: string): Promise<string | undefined> {
    const [isPrimary, after] = [cursor.startsWith("p"), cursor.slice(2)];
    const store = isPrimary ? this.#primary : this.#secondary;
    if (store.listPage === undefined) throw new RolloutError("NOT_LISTABLE");
    const limit = this.#options.pageSize ?? 1_000;
    const page = await store.listPage({ limit, ...(after === "" ? {} : { after }) });
    await Promise.all(page.connections.map(({ id }) => this.#slots.use(() => this.#check(id, isPrimary))));
    if (page.next !== undefined) return `${cursor[0]}:${page.next}`;
    return isPrimary ? "s:" : undefined;
  }

  /** Rows of the secondary's list that the primary has too were in the primary's list. */
  async #check(id: string, isPrimary: boolean): Promise<void> {
    const { timeoutMs = 5_000, removeExtra = false } = this.#options;
    let fields: readonly string[] = [];
    for (let attempt = 0; attempt <= ATTEMPTS; attempt++) {
      const budget = callBudget(timeoutMs);
      const pair = await this.#comparison.read(id, this.#primary, this.#secondary, budget);
      if (!isPrimary && pair.primary !== undefined) return;
      if (attempt === 0) this.#checked++;
      fields = pair.fields;
      if (fields.length === 0) {
        if (attempt > 0) this.#repaired++;
        return;
      }
      if (pair.primary === undefined) {
        if (!removeExtra) break;
        const removed = await this.#primary.get(id, budget, { removed: true });
        await this.#secondary.delete(id, budget, { keep: removed !== undefined });
      } else if (pair.secondary === undefined) {
        await this.#secondary.save(pair.primary, budget);
      } else {
        const changes = stateChanges(pair.primary, pair.secondary);
        if (Object.keys(changes).length === 0) break;
        await this.#secondary.setState(id, changes, budget);
      }
    }
    this.#remaining++;
    if (this.#differences.length < MAX_DIFFERENCES) this.#differences.push({ id, fields, at: this.#now() });
  }

  #progress(cursor: string | undefined): ReconcileProgress {
    return {
      checked: this.#checked,
      repaired: this.#repaired,
      remaining: this.#remaining,
      ...(cursor === undefined ? {} : { cursor }),
    };
  }
}
