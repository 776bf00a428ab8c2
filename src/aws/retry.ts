import { elapsed } from "../internal/elapsed.ts";
import { isTransient } from "./errors.ts";

/** Time limit of one attempt in ms, so that a hung connection does not take all of the time. */
const ATTEMPT_MS = 3_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

export interface RetryOptions {
  /** In elapsed ms, as of `elapsed`: a wall clock that jumps must neither end a call nor prolong it. */
  readonly deadline: number;
  /** Returns whether an error is worth another attempt. Default: the transient errors of any AWS service. */
  readonly isTransient?: (error: unknown) => boolean;
}

/** Retries calls with backoff, all within one deadline. */
export class Retry {
  /** Number of attempts so far. */
  attempts = 0;
  readonly #deadline: number;
  readonly #isTransient: (error: unknown) => boolean;
  #pauses = 0;
  #isCancelled = false;
  #attempt: AbortController | undefined;
  #wake: (() => void) | undefined;

  constructor(options: RetryOptions) {
    this.#deadline = options.deadline;
    this.#isTransient = options.isTransient ?? isTransient;
  }

  /**
   * Runs `attempt` until it succeeds, fails with an error that is not transient, or the time is over. Rejects with the
   * last error that is not merely an attempt's timeout, if there was one.
   */
  async run<Output>(attempt: (signal: AbortSignal) => Promise<Output>): Promise<Output> {
    let reported: { readonly error: unknown } | undefined;
    for (;;) {
      try {
        return await this.#runOnce(attempt);
      } catch (error) {
        if (reported === undefined || !this.#attempt?.signal.aborted) reported = { error };
        if (!this.#isTransient(error) || !(await this.pause())) throw reported.error;
      }
    }
  }

  /**
   * Waits for a random time below a limit that doubles, so that many callers that failed together do not retry together.
   * @returns `false` when the time is over, or after `cancel`
   */
  async pause(longestMs = LONGEST_PAUSE_MS): Promise<boolean> {
    const longest = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** this.#pauses++);
    const ms = Math.random() * longest;
    if (this.#isCancelled || elapsed() + ms >= this.#deadline) return false;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    return !this.#isCancelled;
  }

  /** Aborts the running attempt and any pause: `run` rejects. */
  cancel(): void {
    this.#isCancelled = true;
    this.#attempt?.abort();
    this.#wake?.();
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /**
   * Rejects at the time limit even where the attempt ignores its signal: a credentials provider never gets one. Clears
   * its timer with the attempt, because a timer would fire when a frozen Lambda function thaws.
   */
  async #runOnce<Output>(attempt: (signal: AbortSignal) => Promise<Output>): Promise<Output> {
    this.attempts++;
    const controller = new AbortController();
    const { signal } = controller;
    this.#attempt = controller;
    const ms = Math.max(1, Math.min(ATTEMPT_MS, this.#deadline - elapsed()));
    const timer = setTimeout(() => controller.abort(), ms);
    try {
      return await new Promise<Output>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        attempt(signal).then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
    }
  }
}
