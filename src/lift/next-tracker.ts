import type { LiftError } from "./errors.ts";

const PENDING = Symbol("pending");

/**
 * Tracks the `next()` calls of one event. A middleware may forget to await its `next()`: then the event waits in its
 * place, and fails with the error that the middleware did not see.
 */
export class NextTracker {
  #last: Promise<void> | undefined;
  #innermostResult: (() => unknown) | undefined;
  #isSuspect = false;
  #unseen: { readonly error: unknown } | undefined;
  #checking: Promise<void> | undefined;

  /** The promise of the innermost `next()` call so far. */
  get last(): Promise<void> | undefined {
    return this.#last;
  }

  track(inner: Promise<void>): void {
    this.#last = inner;
  }

  /** @param result returns the return value of the innermost middleware, which is about to call the handler */
  enterHandler(result: () => unknown): void {
    this.#innermostResult = result;
  }

  /** Records a mistake that fails the event even when the middleware catches it. */
  recordMisuse(error: LiftError): void {
    this.#isSuspect = true;
    this.#unseen = { error };
  }

  /**
   * Records that a `next()` call fails, or is about to.
   * @param result returns the return value of the calling middleware, available one turn later
   * @param inner the promise that `next()` returns
   */
  recordError(error: unknown, result: () => unknown, inner: Promise<unknown>): void {
    this.#isSuspect = true;
    // Without a handler the rejection would end the process.
    inner.catch(() => {});
    this.#checking = this.#check(error, result);
  }

  /** Records that the handler has failed. Without middleware there is no `next()` to forget. */
  recordHandlerError(error: unknown): void {
    if (this.#innermostResult === undefined || this.#last === undefined) return;
    this.recordError(error, this.#innermostResult, this.#last);
  }

  /**
   * Waits for `next()` calls that nobody awaited.
   * @param hasResult whether the event has its result
   * @returns `undefined` when there are none; otherwise a promise that rejects with the error that nobody saw
   */
  unfinished(hasResult: boolean): Promise<void> | undefined {
    return hasResult && !this.#isSuspect ? undefined : this.#waitForRest();
  }

  async #waitForRest(): Promise<void> {
    for (let last: Promise<unknown> | undefined; last !== this.#last; ) {
      last = this.#last;
      const first = await Promise.race([last, PENDING]).catch(() => undefined);
      if (first === PENDING) await last;
    }
    await this.#checking;
    if (this.#unseen !== undefined) throw this.#unseen.error;
  }

  /** A middleware that awaits a failing `next()` is still pending. One that has returned did not await it. */
  async #check(error: unknown, resultOf: () => unknown): Promise<void> {
    await undefined;
    const result = resultOf();
    if (!(result instanceof Promise)) return;
    const first = await Promise.race([result, PENDING]).catch(() => PENDING);
    if (first !== PENDING) this.#unseen ??= { error };
  }
}
