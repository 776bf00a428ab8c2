/** Work in one turn of the event loop, in ms. After it, sockets and HTTP requests are handled. */
const SLICE_MS = 10;

/** The real function, also when a test replaces the global one later. */
const afterIo = setImmediate;

/**
 * Divides work that waits for no I/O into slices. Memory stores and local sockets respond in the same turn of the event
 * loop, so thousands of operations would delay everything else until the last one has ended.
 */
export class TimeSlices {
  /** In insertion order. A Set, because shifting a long array is slow. */
  readonly #waiting = new Set<() => void>();
  /** Start of this turn's work; `undefined` before the turn has any. */
  #startedAt: number | undefined;
  #isStarting = false;

  /** Resolves when an operation may start: in this turn if there is time, or in a later one. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      if (!this.#isStarting) void this.#startWaiting();
    });
  }

  async #startWaiting(): Promise<void> {
    const startedAt = this.#startedAt ?? this.#beginTurn();
    this.#isStarting = true;
    for (const start of this.#waiting) {
      if (performance.now() - startedAt >= SLICE_MS) break;
      this.#waiting.delete(start);
      start();
      // Lets the operation run to its first await before the time is read again.
      await undefined;
    }
    this.#isStarting = false;
  }

  #beginTurn(): number {
    this.#startedAt = performance.now();
    afterIo(() => {
      this.#startedAt = undefined;
      if (this.#waiting.size > 0 && !this.#isStarting) void this.#startWaiting();
    });
    return this.#startedAt;
  }
}
