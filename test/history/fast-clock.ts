import type { Clock, Timer } from "../../src/client/index.ts";

/** A clock with an adjustable speed, timers included. */
export class FastClock implements Clock {
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void; timer: NodeJS.Timeout }>();
  #speed: number;
  #sinceReal = Date.now();
  #since = this.#sinceReal;

  constructor(speed: number) {
    this.#speed = speed;
  }

  now(): number {
    return this.#since + (Date.now() - this.#sinceReal) * this.#speed;
  }

  setTimeout(callback: () => void, ms: number): Timer {
    const entry = { at: this.now() + ms, callback, timer: undefined as unknown as NodeJS.Timeout };
    this.#arm(entry);
    this.#timers.add(entry);
    return {
      cancel: () => {
        clearTimeout(entry.timer);
        this.#timers.delete(entry);
      },
    };
  }

  set speed(speed: number) {
    [this.#since, this.#sinceReal] = [this.now(), Date.now()];
    this.#speed = speed;
    for (const entry of this.#timers) {
      clearTimeout(entry.timer);
      this.#arm(entry);
    }
  }

  #arm(entry: { readonly at: number; readonly callback: () => void; timer: NodeJS.Timeout }): void {
    entry.timer = setTimeout(
      () => {
        this.#timers.delete(entry);
        entry.callback();
      },
      Math.max(0, (entry.at - this.now()) / this.#speed),
    );
  }
}
