import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";

/**
 * Decides when entries in memory expire: when their date has passed, and as much time has elapsed here as
 * remained when they were stored. So a wall clock that jumps ahead expires nothing early.
 */
export class Lifetimes {
  readonly #now: () => number;
  readonly #elapsed: Elapsed;

  constructor(now: () => number) {
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Returns the elapsed ms at which an entry expires. @param expiresAt ms since the epoch */
  elapsedEnd(expiresAt: number): number {
    return this.#elapsed() + expiresAt - this.#now();
  }

  /** @param end the result of `elapsedEnd` when the entry was stored */
  isExpired(expiresAt: number, end: number, now = this.#now()): boolean {
    // Most have not expired by their date, and reading the other clock costs time.
    return expiresAt <= now && end <= this.#elapsed();
  }
}
