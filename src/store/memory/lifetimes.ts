import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";

/**
 * Decides when entries in memory expire: by their date, but not before that time has elapsed in this process. So a wall
 * clock that jumps ahead expires nothing early.
 */
export class Lifetimes {
  readonly #now: () => number;
  readonly #elapsed: Elapsed;

  constructor(now: () => number) {
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Returns the elapsed ms at which an entry expires. @param expiresAt ms since the epoch */
  toEnd(expiresAt: number): number {
    return this.#elapsed() + expiresAt - this.#now();
  }

  /** @param end the result of `toEnd` when the entry was stored */
  isExpired(expiresAt: number, end: number, now = this.#now()): boolean {
    // Most have not expired by their date, and reading the other clock costs time.
    return expiresAt <= now && end <= this.#elapsed();
  }
}
