import type { SteadyClock } from "./clock.ts";

/** A token bucket: holds up to `burst` tokens and refills `rate` tokens per second. */
export class Throttle {
  readonly #rate: number;
  readonly #burst: number;
  readonly #clock: SteadyClock;
  #tokens: number;
  #filledAt: number;

  constructor(rate: number, burst: number, clock: SteadyClock) {
    this.#rate = rate;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#filledAt = clock.elapsed();
  }

  /** Takes one token. Returns false when there is none. */
  take(): boolean {
    if (this.#rate === Number.POSITIVE_INFINITY) return true;
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(): void {
    const now = this.#clock.elapsed();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1000) * this.#rate);
    this.#filledAt = now;
  }
}
