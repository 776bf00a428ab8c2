import type { LiftError } from "./errors.ts";

const NOT_YET = Symbol("not yet");

/**
 * What a middleware has left behind that did not await its `next()`: the event waits in its place, and the error
 * that it did not see is the event's. Made only where a chain has not ended as chains do.
 */
export class FloatingNext {
  #error: { readonly error: unknown } | undefined;
  #checking: Promise<void> | undefined;

  /** A mistake that ends the event, whatever the middleware makes of it. */
  misused(error: LiftError): void {
    this.#error = { error };
  }

  /**
   * What a middleware has begun is about to fail, or has just failed.
   * @param outcome what the middleware has returned, a turn later
   * @param begun what it has begun: it ends no process by failing with nobody there to see
   */
  failed(error: unknown, outcome: () => unknown, begun: Promise<unknown>): void {
    begun.catch(() => {});
    this.#checking = this.#check(error, outcome);
  }

  /**
   * Waits for what goes on; rejects with what nobody saw.
   * @param latest what has been begun last, by now
   */
  async rest(latest: () => Promise<unknown> | undefined): Promise<void> {
    for (let last: Promise<unknown> | undefined; last !== latest(); ) {
      last = latest();
      const first = await Promise.race([last, NOT_YET]).catch(() => undefined);
      if (first === NOT_YET) await last;
    }
    await this.#checking;
    if (this.#error !== undefined) throw this.#error.error;
  }

  /** Whoever awaits what fails now can't have ended yet: an asynchronous middleware that has ended did not await it. */
  async #check(error: unknown, outcomeOf: () => unknown): Promise<void> {
    await undefined;
    const outcome = outcomeOf();
    if (!(outcome instanceof Promise)) return;
    const first = await Promise.race([outcome, NOT_YET]).catch(() => NOT_YET);
    if (first !== NOT_YET) this.#error ??= { error };
  }
}
