import type { Clock, Timer } from "../../src/client/index.ts";

interface Alarm {
  readonly at: number;
  readonly ring: () => void;
}

/** A clock that a test moves. Runs all promise callbacks of a timer before the next timer fires. */
export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  /** The offset of the wall clock, in ms. */
  #ahead = 0;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#now + this.#ahead;
  }

  monotonic(): number {
    return this.#now;
  }

  /** Moves the wall clock only. Timers do not change. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  setTimeout(ring: () => void, ms: number): Timer {
    const alarm = { at: this.#now + Math.max(0, ms), ring };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  /** The number of pending timers. */
  get pending(): number {
    return this.#alarms.size;
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#alarms.delete(next);
      this.#now = next.at;
      next.ring();
      await settle();
    }
    this.#now = end;
  }

  #next(end: number): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (first === undefined || alarm.at < first.at)) first = alarm;
    }
    return first;
  }
}

/** Resolves when all promise callbacks have run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
