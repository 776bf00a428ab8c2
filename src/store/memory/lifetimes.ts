import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";

/**
 * When what is kept in memory expires: by its date, but not before its time has elapsed in this process, so that a
 * wall clock that jumps ahead ends nothing early.
 */
export class Lifetimes {
  readonly #now: () => number;
  readonly #elapsed: Elapsed;

  constructor(now: () => number) {
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** The elapsed ms at which something expires that is kept from now on. @param expiresAt ms since the epoch */
  endOf(expiresAt: number): number {
    return this.#elapsed() + expiresAt - this.#now();
  }

  /** @param end as `endOf` gave it */
  isOver(expiresAt: number, end: number, now = this.#now()): boolean {
    // Most are not over by their date: then the other clock is not asked.
    return expiresAt <= now && end <= this.#elapsed();
  }
}
