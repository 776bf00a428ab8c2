import type { TimeBudget } from "../store/index.ts";
import { LiftError } from "./errors.ts";

/** Longest delay that setTimeout accepts, in ms. With a longer one the timer would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Returns the ms until work should stop, so that `marginMs` remain for cleaning up. */
function timeLeft(budget: TimeBudget, marginMs: number): number {
  const left = budget.getRemainingTimeInMillis() - marginMs;
  return Math.min(Math.max(left, 0), MAX_DELAY_MS);
}

/** A signal that aborts `marginMs` before the time budget ends. Its timer runs until `cancel`. */
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
 * Waits for `work` until `marginMs` before the time budget ends, and clears its timer.
 * @throws {LiftError} TIMEOUT
 */
export async function untilDeadline(work: unknown, budget: TimeBudget, marginMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LiftError("TIMEOUT")), timeLeft(budget, marginMs));
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
