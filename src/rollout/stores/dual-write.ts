import { KeyedQueue } from "../../internal/keyed-queue.ts";
import { withMethods } from "../../internal/options.ts";
import { Semaphore } from "../../internal/semaphore.ts";
import type { Connection, ConnectionStore, Json, TimeBudget } from "../../store/index.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import { DifferenceList } from "./difference-list.ts";
import {
  type CompareRows,
  callBudget,
  differingFields,
  RowComparison,
  type RowDifference,
} from "./differences.ts";
import {
  DUAL_WRITE_OPTIONS,
  type DualWriteOptions,
  type DualWriteReport,
  type DualWriteSettings,
  settingsOf,
} from "./dual-write-options.ts";
import { type ReconcileOptions, type ReconcileReport, reconcile } from "./reconcile.ts";

/** A connection store that writes to two stores and reads from the primary one. */
export interface DualWriteStore extends ConnectionStore {
  /** The store that is read and written first. */
  readonly primary: ConnectionStore;
  /** The store that follows. */
  readonly secondary: ConnectionStore;
  /** Returns the counts. */
  report(): DualWriteReport;
  /** Lists rows that differed when they were last compared, or whose last write failed on the secondary. */
  differences(): readonly RowDifference[];
  /** Resolves when the secondary has carried out, or failed, all writes that were acknowledged before. */
  settled(): Promise<void>;
  /**
   * Makes the secondary equal to the primary, as the function `reconcile` does. Ends listed differences that are repaired.
   * @throws {RolloutError} INVALID_OPTION, NOT_LISTABLE
   */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>;
  /**
   * Swaps the roles: the cut-over, and the cut-back. Writes wait until the secondary has all earlier ones; none is lost.
   * @param options `force`: swaps although rows are known to differ. Default false
   * @throws {RolloutError} DIFFERENCES_OPEN, SWAP_RUNNING; the roles are then unchanged
   */
  swapRoles(options?: { readonly force?: boolean }): Promise<void>;
}

const STORE = withMethods(
  "save",
  "get",
  "delete",
  "setState",
  "updateState",
  "listByUser",
  "listByTenant",
  "count",
);

/**
 * Creates a connection store that writes to `primary` and then to `secondary`, and reads from `primary`. A failure of the
 * secondary changes no result: it is counted and listed. Writes of one row reach the secondary in their order.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const store = dualWriteStore(oldStore, newStore, {
 *   onDifference: ({ id, fields }) => console.warn("The stores differ", { id, fields }),
 * });
 * const app = new Lift({ connectionStore: store });
 */
export function dualWriteStore(
  primary: ConnectionStore,
  secondary: ConnectionStore,
  options: DualWriteOptions = {},
): DualWriteStore {
  checkOptions({ primary, secondary }, { primary: STORE, secondary: STORE }, ["primary", "secondary"]);
  checkOptions(options, DUAL_WRITE_OPTIONS);
  if (primary === secondary) {
    throw new RolloutError("INVALID_OPTION", "`secondary` must be another store than `primary`");
  }
  return new DualWriteConnectionStore(primary, secondary, options);
}

/** Writes to the secondary what the primary has carried out. Resolves to `false` when there was no row. */
type Replay = (secondary: ConnectionStore, budget: TimeBudget) => Promise<boolean>;

class DualWriteConnectionStore implements DualWriteStore {
  readonly peek?: NonNullable<ConnectionStore["peek"]>;
  #primary: ConnectionStore;
  #secondary: ConnectionStore;
  readonly #options: DualWriteSettings;
  readonly #compareRows: CompareRows;
  readonly #comparison: RowComparison | undefined;
  /** Writes to the primary. Two of one row run one after the other, so that the secondary gets them in that order. */
  readonly #writes = new KeyedQueue();
  readonly #replays = new KeyedQueue();
  readonly #slots: Semaphore;
  /** By id: writes that have not reached the secondary yet. */
  readonly #unfinished = new Map<string, number>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #replaying = new Set<Promise<void>>();
  readonly #differences: DifferenceList;
  /** Resolves when the running swap has ended. */
  #swap: Promise<void> | undefined;
  readonly #counts = { written: 0, failed: 0, dropped: 0, compared: 0, uncompared: 0 };

  constructor(primary: ConnectionStore, secondary: ConnectionStore, options: DualWriteOptions) {
    const { compare = true, onDifference } = options;
    this.#primary = primary;
    this.#secondary = secondary;
    this.#options = settingsOf(options);
    this.#differences = new DifferenceList(this.#options.maxListed, onDifference);
    this.#compareRows = typeof compare === "function" ? compare : differingFields;
    if (compare !== false) this.#comparison = new RowComparison(this.#compareRows, this.#options.now);
    this.#slots = new Semaphore(this.#options.concurrency);
    // Both must have it: callers look for it once, and the roles may swap.
    if (primary.peek !== undefined && secondary.peek !== undefined) {
      this.peek = (id, now) => this.#primary.peek?.(id, now);
    }
  }

  get primary(): ConnectionStore {
    return this.#primary;
  }

  get secondary(): ConnectionStore {
    return this.#secondary;
  }

  async save(connection: Connection, budget?: TimeBudget): Promise<boolean> {
    // The caller may change its object before the secondary has the row.
    const row = structuredClone(connection);
    return this.#write(row.id, budget, async () => {
      const isSaved = await this.#primary.save(row, budget);
      return [isSaved, isSaved ? (secondary, time) => secondary.save(row, time) : undefined];
    });
  }

  get(id: string, budget?: TimeBudget, options?: { readonly removed?: boolean }) {
    return this.#primary.get(id, budget, options);
  }

  async delete(id: string, budget?: TimeBudget, options?: { readonly keep?: boolean }): Promise<void> {
    return this.#write(id, budget, async () => {
      await this.#primary.delete(id, budget, options);
      return [undefined, (secondary, time) => secondary.delete(id, time, options).then(() => true)];
    });
  }

  async setState(
    id: string,
    entries: { readonly [key: string]: Json | undefined },
    budget?: TimeBudget,
  ): Promise<boolean> {
    const copy = structuredClone(entries);
    return this.#write(id, budget, async () => {
      const isWritten = await this.#primary.setState(id, copy, budget);
      return [isWritten, isWritten ? (secondary, time) => secondary.setState(id, copy, time) : undefined];
    });
  }

  /** The secondary gets the result: `change` must run once per attempt of one store only. */
  async updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ): Promise<Json | undefined> {
    return this.#write(id, budget, async () => {
      const value = await this.#primary.updateState(id, key, change, budget);
      const copy = structuredClone(value);
      const replay: Replay = async (secondary, time) => {
        const isWritten = await secondary.setState(id, { [key]: copy }, time);
        // Without a value there may be no row in the primary either.
        return isWritten || copy === undefined;
      };
      return [value, replay];
    });
  }

  listByUser(userId: string): AsyncIterable<Connection> {
    return this.#primary.listByUser(userId);
  }

  listByTenant(tenantId: string): AsyncIterable<Connection> {
    return this.#primary.listByTenant(tenantId);
  }

  count(): Promise<number> {
    return this.#primary.count();
  }

  report(): DualWriteReport {
    const { found, unlisted } = this.#differences;
    return { ...this.#counts, pending: this.#replaying.size, different: found, unlisted };
  }

  differences(): readonly RowDifference[] {
    return this.#differences.listed;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#replaying);
  }

  async reconcile(options: ReconcileOptions = {}): Promise<ReconcileReport> {
    await this.settled();
    const { listed, unlisted } = this.#differences;
    const own = { now: this.#options.now, compare: this.#compareRows };
    const report = await reconcile(this.#primary, this.#secondary, { ...own, ...options });
    if (report.cursor !== undefined || options.cursor !== undefined) return report;
    const remaining = new Set(report.differences.map(({ id }) => id));
    for (const difference of listed) {
      if (!remaining.has(difference.id)) this.#differences.deleteSame(difference);
    }
    for (const difference of report.differences) this.#differences.add(difference);
    this.#differences.unlisted -= unlisted;
    return report;
  }

  async swapRoles({ force = false }: { readonly force?: boolean } = {}): Promise<void> {
    if (this.#swap !== undefined) throw new RolloutError("SWAP_RUNNING");
    const ended = Promise.withResolvers<void>();
    this.#swap = ended.promise;
    try {
      await Promise.allSettled(this.#writing);
      await this.settled();
      if (!force && !this.#differences.isEmpty) throw new RolloutError("DIFFERENCES_OPEN");
      [this.#primary, this.#secondary] = [this.#secondary, this.#primary];
    } finally {
      this.#swap = undefined;
      ended.resolve();
    }
  }

  async #write<Result>(
    id: string,
    budget: TimeBudget | undefined,
    write: () => Promise<readonly [Result, Replay | undefined]>,
  ): Promise<Result> {
    while (this.#swap !== undefined) await this.#swap;
    const written = this.#writes.run(id, () => this.#writePrimary(id, budget, write));
    this.#writing.add(written);
    try {
      const { result, replayed } = await written;
      if (!this.#options.background) await this.#waitFor(replayed, budget);
      return result;
    } finally {
      this.#writing.delete(written);
    }
  }

  async #writePrimary<Result>(
    id: string,
    budget: TimeBudget | undefined,
    write: () => Promise<readonly [Result, Replay | undefined]>,
  ) {
    this.#unfinished.set(id, (this.#unfinished.get(id) ?? 0) + 1);
    try {
      const [result, replay] = await write();
      this.#counts.written++;
      return { result, replayed: this.#enqueue(id, budget, replay) };
    } catch (error) {
      // The primary may have carried it out, so the row is compared.
      const compared = this.#enqueue(id, budget, undefined);
      if (!this.#options.background) await this.#waitFor(compared, budget);
      throw error;
    }
  }

  /** Never rejects. */
  #enqueue(id: string, budget: TimeBudget | undefined, replay: Replay | undefined): Promise<void> {
    if (this.#replaying.size >= this.#options.maxPending) {
      this.#finish(id);
      if (replay !== undefined) {
        this.#counts.dropped++;
        this.#differences.add({ id, fields: ["row"], at: this.#options.now() });
      }
      return Promise.resolve();
    }
    const run = () => this.#slots.use(() => this.#replay(id, budget, replay));
    const replayed = this.#replays.run(id, run).finally(() => {
      this.#replaying.delete(replayed);
    });
    this.#replaying.add(replayed);
    return replayed;
  }

  /** Waits for the secondary, but not for one that does not keep to its time. */
  async #waitFor(replayed: Promise<void>, budget: TimeBudget | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const ms = callBudget(this.#options.timeoutMs, budget).getRemainingTimeInMillis();
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([replayed, timeout]);
    clearTimeout(timer);
  }

  async #replay(id: string, budget: TimeBudget | undefined, replay: Replay | undefined): Promise<void> {
    const { timeoutMs, background, now } = this.#options;
    const callerBudget = background ? undefined : budget;
    let failure: { readonly cause?: unknown } | undefined;
    try {
      const isWritten = await replay?.(this.#secondary, callBudget(timeoutMs, callerBudget));
      if (isWritten === false) failure = {};
    } catch (cause) {
      this.#counts.failed++;
      failure = { cause };
    }
    // A store that has just failed is not asked again; a later write of the row compares it.
    const hasFailed = failure !== undefined && "cause" in failure;
    const fields = hasFailed ? undefined : await this.#compare(id, callBudget(timeoutMs, callerBudget));
    if (fields?.length === 0) this.#differences.delete(id);
    else if (fields !== undefined || failure !== undefined) {
      this.#differences.add({ id, fields: fields ?? ["row"], at: now(), ...failure });
    }
    this.#finish(id);
  }

  /**
   * Returns the fields that differ; `undefined` when the row could not be compared. A row with a later write on its way is
   * not compared: that write does it. A difference counts when a second read confirms it, because other processes write too.
   */
  async #compare(id: string, budget: TimeBudget): Promise<readonly string[] | undefined> {
    const comparison = this.#comparison;
    if (comparison === undefined) return undefined;
    const isLast = () => this.#unfinished.get(id) === 1;
    try {
      let fields: readonly string[] = ["row"];
      for (let read = 0; read < 2 && fields.length > 0; read++) {
        if (!isLast()) return undefined;
        ({ fields } = await comparison.read(id, this.#primary, this.#secondary, budget));
      }
      if (!isLast()) return undefined;
      this.#counts.compared++;
      return fields;
    } catch {
      this.#counts.uncompared++;
      return undefined;
    }
  }

  #finish(id: string): void {
    const left = (this.#unfinished.get(id) ?? 0) - 1;
    if (left > 0) this.#unfinished.set(id, left);
    else this.#unfinished.delete(id);
  }
}
