import { setTimeout as delay } from "node:timers/promises";
import { elapsed } from "../../internal/elapsed.ts";
import { RolloutError } from "../errors.ts";

/** The clocks of a rollout. Tests and rehearsals move their own. */
export interface RolloutClock {
  /** Returns ms since the epoch. */
  now(): number;
  /** Returns elapsed ms since any origin. It never decreases. */
  elapsed(): number;
  /** Resolves after `ms`, or when the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** The clocks of this machine. */
export const SYSTEM_CLOCK: RolloutClock = {
  now: Date.now,
  elapsed,
  wait: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
};

/** Corrections by NTP are smaller, in ms. */
const SHORTEST_JUMP_MS = 1_000;

/** Finds changes of the wall clock since the last check, by comparing it with elapsed time. */
export class JumpDetector {
  readonly #clock: RolloutClock;
  readonly #toleranceMs: number;
  #offset: number;

  constructor(clock: RolloutClock, windowMs: number) {
    this.#clock = clock;
    this.#toleranceMs = Math.max(SHORTEST_JUMP_MS, windowMs / 60);
    this.#offset = clock.now() - clock.elapsed();
  }

  /** @throws {RolloutError} CLOCK_JUMPED, once for each jump */
  check(): void {
    const offset = this.#clock.now() - this.#clock.elapsed();
    const jump = offset - this.#offset;
    // Also without a jump: the two clocks may drift apart, slowly.
    this.#offset = offset;
    if (Math.abs(jump) <= this.#toleranceMs) return;
    const seconds = Math.round(Math.abs(jump) / 1_000);
    throw new RolloutError(
      "CLOCK_JUMPED",
      `The clock jumped ${seconds} s ${jump > 0 ? "forward" : "back"}; windows until now are not used`,
    );
  }
}
