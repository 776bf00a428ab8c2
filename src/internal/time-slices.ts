/** Work of one turn of the event loop, in ms; then sockets and HTTP requests have their turn. */
const SLICE_MS = 10;

/** The real one, also where a test fakes the global one after this was loaded. */
const afterIo = setImmediate;

/**
 * Shares the event loop between many pieces of work that wait for no I/O of their own: a memory store and local sockets
 * answer within the same turn, so thousands of them would keep all others waiting until the last has ended.
 */
export class TimeSlices {
  /** In the order in which they came. A Set, as an array shifts slowly where it is long. */
  readonly #waiting = new Set<() => void>();
  /** When the work of this turn began; `undefined`: in an earlier turn. */
  #startedAt: number | undefined;
  #starts = false;

  /** Resolves when a piece of work may begin: in this turn while there is time, else in a later one. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      if (!this.#starts) void this.#startWaiting();
    });
  }

  async #startWaiting(): Promise<void> {
    const startedAt = this.#startedAt ?? this.#beginTurn();
    this.#starts = true;
    for (const start of this.#waiting) {
      if (performance.now() - startedAt >= SLICE_MS) break;
      this.#waiting.delete(start);
      start();
      // The started work runs before the time is read again.
      await undefined;
    }
    this.#starts = false;
  }

  #beginTurn(): number {
    this.#startedAt = performance.now();
    afterIo(() => {
      this.#startedAt = undefined;
      if (this.#waiting.size > 0 && !this.#starts) void this.#startWaiting();
    });
    return this.#startedAt;
  }
}
