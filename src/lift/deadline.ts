import type { TimeBudget } from "../store/index.ts";
import { LiftError } from "./errors.ts";

/** The longest delay that setTimeout keeps; past it the timer would ring at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** ms until work should stop so that something is left to tidy up in. */
function timeLeft(budget: TimeBudget, marginMs: number): number {
  const left = budget.getRemainingTimeInMillis() - marginMs;
  return Math.min(Math.max(left, 0), MAX_DELAY_MS);
}

/** A signal that fires `marginMs` before the function is stopped. Its timer is set until `cancel`. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(budget: TimeBudget, marginMs: number) {
    const abort = () => this.#controller.abort(new LiftError("TIMEOUT"));
    this.#timer = setTimeout(abort, timeLeft(budget, marginMs));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Waits for `work`, at longest until `marginMs` before the function is stopped. Leaves no timer behind.
 * @throws {LiftError} TIMEOUT; else what `work` rejects with
 */
export async function untilDeadline(work: unknown, budget: TimeBudget, marginMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LiftError("TIMEOUT")), timeLeft(budget, marginMs));
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
