import { createElapsed, type Elapsed } from "../../../internal/elapsed.ts";

/** A limiter. Every limiter of `rate-limiter-flexible` fits. Counting must be atomic, so that concurrent calls cannot exceed the limit. */
export interface RateLimiter {
  /** Counts one event. Rejects with `{ msBeforeNext }` over the limit, and with an Error when the store fails. */
  consume(key: string): Promise<unknown>;
}

interface Window {
  count: number;
  /** Monotonic time in ms. */
  readonly endsAt: number;
}

/**
 * Counts in memory: in Lambda, per container. A key's window begins with its first call. It uses no timer; each call removes
 * expired windows. `RateLimiterMemory` would set a timer per key, which a frozen function finds when it thaws, and takes no
 * clock.
 */
export class MemoryLimiter implements RateLimiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #elapsed: Elapsed;
  /** In order of their ends, because all windows are equally long. */
  readonly #windows = new Map<string, Window>();

  /** @param now a clock in ms; a step back does not lengthen a window */
  constructor(limit: number, windowMs: number, now: () => number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#elapsed = createElapsed(now);
  }

  /** Number of keys with an open window. */
  get size(): number {
    return this.#windows.size;
  }

  consume(key: string): Promise<void> {
    const now = this.#elapsed();
    this.#removeExpired(now);
    const window = this.#windows.get(key) ?? { count: 0, endsAt: now + this.#windowMs };
    window.count++;
    if (window.count === 1) this.#windows.set(key, window);
    if (window.count <= this.#limit) return Promise.resolve();
    return Promise.reject({ msBeforeNext: window.endsAt - now });
  }

  #removeExpired(now: number): void {
    for (const [key, { endsAt }] of this.#windows) {
      if (endsAt > now) return;
      this.#windows.delete(key);
    }
  }
}
