import { elapsed } from "../internal/elapsed.ts";
import { isTransient } from "./errors.ts";

/** ms that one attempt may take, whatever is left: a hung connection must not cost the whole time. */
const ATTEMPT_MS = 3_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

export interface RetryOptions {
  /** Elapsed ms, by `elapsed`: a wall clock that jumps must neither end a call nor prolong it. */
  readonly deadline: number;
  /** Whether an error is worth another attempt. Default: what any service of AWS means by transient. */
  readonly isTransient?: (error: unknown) => boolean;
}

/** The attempts of one call, and the pauses between them: they share a deadline. */
export class Retry {
  attempts = 0;
  readonly #deadline: number;
  readonly #isTransient: (error: unknown) => boolean;
  #pauses = 0;
  #cancelled = false;
  #attempt: AbortController | undefined;
  #wake: (() => void) | undefined;

  constructor(options: RetryOptions) {
    this.#deadline = options.deadline;
    this.#isTransient = options.isTransient ?? isTransient;
  }

  /**
   * Tries until it succeeds, the error is not transient, or the time is over; then rejects with the last one that
   * says more than that an attempt was given up, if there was one.
   */
  async run<Output>(attempt: (signal: AbortSignal) => Promise<Output>): Promise<Output> {
    let telling: { readonly error: unknown } | undefined;
    for (;;) {
      try {
        return await this.#one(attempt);
      } catch (error) {
        if (telling === undefined || !this.#attempt?.signal.aborted) telling = { error };
        if (!this.#isTransient(error) || !(await this.pause())) throw telling.error;
      }
    }
  }

  /** Waits, longer each time and by chance, so that many who were refused at once do not all come back at once. */
  async pause(longestMs = LONGEST_PAUSE_MS): Promise<boolean> {
    const longest = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** this.#pauses++);
    const ms = Math.random() * longest;
    if (this.#cancelled || elapsed() + ms >= this.#deadline) return false;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    return !this.#cancelled;
  }

  /** Aborts what is under way, and ends the wait for another attempt: `until` rejects. */
  cancel(): void {
    this.#cancelled = true;
    this.#attempt?.abort();
    this.#wake?.();
  }

  get isCancelled(): boolean {
    return this.#cancelled;
  }

  /**
   * Ends with its time even where the attempt does not heed its signal: a provider of credentials is never told of it.
   * The timer goes with the attempt: a function that is frozen in between must not find it afterwards.
   */
  async #one<Output>(attempt: (signal: AbortSignal) => Promise<Output>): Promise<Output> {
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
