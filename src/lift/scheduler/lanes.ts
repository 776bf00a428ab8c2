/** Items of a lane that wait for their turn; reading goes on only while there is room. */
const MOST_WAITING = 1_000;

/** A lane whose items have failed so often in a row holds up nothing any more. */
const STUCK_AFTER = 32;

interface Lane<Item> {
  readonly waiting: Item[];
  failuresInARow: number;
}

export interface FairOptions<Item> {
  /** The lane of an item: lanes take turns, so that one that is long or slow does not keep the others waiting. */
  readonly laneOf: (item: Item) => string;
  readonly concurrency: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work`, which must not reject and resolves to whether it has succeeded, for each of the items, so many at a time.
 * Leaves out what comes in a lane that is full and whose items fail one after the other. Rejects as `items` does, when
 * all that was read before has ended.
 * @returns whether all of it was done when `signal` fired; after that no more is begun, and nothing waited for
 */
export async function forEachInLanes<Item>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<boolean>,
  { signal, ...options }: FairOptions<Item>,
): Promise<boolean> {
  const stopped = new Promise<false>((resolve) => {
    signal.addEventListener("abort", () => resolve(false), { once: true });
    if (signal.aborted) resolve(false);
  });
  return Promise.race([stopped, new Lanes(work, signal, options).runAll(items)]);
}

class Lanes<Item> {
  readonly #work: (item: Item) => Promise<boolean>;
  readonly #signal: AbortSignal;
  readonly #options: Omit<FairOptions<Item>, "signal">;
  /** The lane that had its turn last is at the end. */
  readonly #lanes = new Map<string, Lane<Item>>();
  readonly #running = new Set<Promise<void>>();

  constructor(
    work: (item: Item) => Promise<boolean>,
    signal: AbortSignal,
    options: Omit<FairOptions<Item>, "signal">,
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
      // Also when the items have come to a bad end: what was begun would be frozen halfway.
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
  return waiting.length >= MOST_WAITING;
}

function isStuck({ failuresInARow }: Lane<unknown>): boolean {
  return failuresInARow >= STUCK_AFTER;
}
