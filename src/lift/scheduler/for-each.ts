/**
 * Runs `work`, which must not reject, for each item. Rejects with the error of `items`, after all started work
 * has ended.
 * @returns `false` when `signal` aborted first; then no further work starts, and running work is not awaited
 */
export function forEachConcurrently<Item>(
  items: AsyncIterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const runAll = async (): Promise<boolean> => {
    const running = new Set<Promise<void>>();
    try {
      for await (const item of items) {
        if (signal.aborted) return false;
        const run: Promise<void> = work(item).then(() => void running.delete(run));
        running.add(run);
        if (running.size >= concurrency) await Promise.race(running);
      }
      return true;
    } finally {
      // Also after an error of the items, because Lambda would freeze running work.
      await Promise.all(running);
    }
  };
  return untilAborted(signal, runAll());
}

/** Maximum number of waiting items in a lane. Reading pauses while a lane is full. */
const MAX_WAITING = 1_000;

/** Failures in a row after which a full lane no longer pauses reading. */
const STUCK_AFTER = 32;

interface Lane<Item> {
  readonly waiting: Item[];
  failuresInARow: number;
}

interface LaneOptions<Item> {
  /** Returns the lane of an item. Lanes take turns, so a long or slow one does not delay the others. */
  readonly laneOf: (item: Item) => string;
  readonly concurrency: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work` for each item. Skips items of a lane that is full and has failed 32 times in a row; a later call
 * may list them again. Rejects with the error of `items`, after all started work has ended.
 * @param work must not reject; it resolves to whether it has succeeded
 * @returns `false` when items were skipped or `signal` aborted first; after an abort no further work starts, and running
 * work is not awaited
 */
export function forEachInLanes<Item>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<boolean>,
  { signal, ...options }: LaneOptions<Item>,
): Promise<boolean> {
  return untilAborted(signal, new Lanes(work, signal, options).runAll(items));
}

class Lanes<Item> {
  readonly #work: (item: Item) => Promise<boolean>;
  readonly #signal: AbortSignal;
  readonly #options: Omit<LaneOptions<Item>, "signal">;
  /** The lane that ran last is at the end. */
  readonly #lanes = new Map<string, Lane<Item>>();
  readonly #running = new Set<Promise<void>>();

  constructor(
    work: (item: Item) => Promise<boolean>,
    signal: AbortSignal,
    options: Omit<LaneOptions<Item>, "signal">,
  ) {
    this.#work = work;
    this.#signal = signal;
    this.#options = options;
  }

  async runAll(items: AsyncIterable<Item>): Promise<boolean> {
    let complete = true;
    try {
      for await (const item of items) {
        const lane = this.#laneOf(item);
        while (isFull(lane) && !isStuck(lane) && !this.#signal.aborted) await Promise.race(this.#running);
        if (this.#signal.aborted) return false;
        if (isFull(lane)) complete = false;
        else lane.waiting.push(item);
        this.#startMore();
      }
    } finally {
      // Also after an error of the items, because Lambda would freeze running work.
      while (this.#running.size > 0) await Promise.race(this.#running);
    }
    return complete;
  }

  #startMore(): void {
    while (!this.#signal.aborted && this.#running.size < this.#options.concurrency) {
      const next = [...this.#lanes].find(([, { waiting }]) => waiting.length > 0);
      if (next === undefined) return;
      const [name, lane] = next;
      this.#lanes.delete(name);
      this.#lanes.set(name, lane);
      this.#start(lane, lane.waiting.shift()!);
    }
  }

  #start(lane: Lane<Item>, item: Item): void {
    const running: Promise<void> = this.#work(item).then((succeeded) => {
      lane.failuresInARow = succeeded ? 0 : lane.failuresInARow + 1;
      this.#running.delete(running);
      this.#startMore();
    });
    this.#running.add(running);
  }

  #laneOf(item: Item): Lane<Item> {
    const name = this.#options.laneOf(item);
    const lane = this.#lanes.get(name) ?? { waiting: [], failuresInARow: 0 };
    if (!this.#lanes.has(name)) this.#lanes.set(name, lane);
    return lane;
  }
}

function isFull({ waiting }: Lane<unknown>): boolean {
  return waiting.length >= MAX_WAITING;
}

function isStuck({ failuresInARow }: Lane<unknown>): boolean {
  return failuresInARow >= STUCK_AFTER;
}

/** Resolves as `work` does, or to `false` as soon as `signal` aborts. It does not wait for the work in progress. */
function untilAborted(signal: AbortSignal, work: Promise<boolean>): Promise<boolean> {
  const aborted = new Promise<false>((resolve) => {
    signal.addEventListener("abort", () => resolve(false), { once: true });
    if (signal.aborted) resolve(false);
  });
  return Promise.race([aborted, work]);
}
