import { createElapsed, type Elapsed } from "../../../internal/elapsed.ts";

/**
 * What is asked of a limiter. Every one of `rate-limiter-flexible` fits, whatever its store. Counting must be
 * atomic: of calls at once, no more than the limit are let through.
 */
export interface RateLimiter {
  /** Rejects with `{ msBeforeNext }` when there were too many, and with an Error when the store failed. */
  consume(key: string): Promise<unknown>;
}

interface Window {
  count: number;
  /** Elapsed ms. */
  readonly endsAt: number;
}

/**
 * Counts in this process's memory: in Lambda, per container. A key's window begins with its first call. There is
 * no timer: what has ended is removed by the calls that follow. `RateLimiterMemory` sets one per key (unref'd, but
 * a frozen function finds it when it thaws), takes no clock, and its subclass would replace all of its storage.
 */
export class MemoryLimiter implements RateLimiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #elapsed: Elapsed;
  /** In the order in which they end, as all are equally long. */
  readonly #windows = new Map<string, Window>();

  /** @param now a clock; one that is set back lengthens no window */
  constructor(limit: number, windowMs: number, now: () => number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#elapsed = createElapsed(now);
  }

  /** Keys that are counted now. */
  get size(): number {
    return this.#windows.size;
  }

  consume(key: string): Promise<void> {
    const now = this.#elapsed();
    this.#sweep(now);
    const window = this.#windows.get(key) ?? { count: 0, endsAt: now + this.#windowMs };
    window.count++;
    if (window.count === 1) this.#windows.set(key, window);
    if (window.count <= this.#limit) return Promise.resolve();
    return Promise.reject({ msBeforeNext: window.endsAt - now });
  }

  #sweep(now: number): void {
    for (const [key, { endsAt }] of this.#windows) {
      if (endsAt > now) return;
      this.#windows.delete(key);
    }
  }
}
