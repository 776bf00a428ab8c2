import type { Clock, Timer } from "../../src/client/index.ts";

interface Alarm {
  readonly at: number;
  readonly ring: () => void;
}

/** Time that a test moves, for code that waits in promises: whatever follows from an alarm happens before the next. */
export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  /** ms by which somebody has set the wall clock ahead. */
  #ahead = 0;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#now + this.#ahead;
  }

  monotonic(): number {
    return this.#now;
  }

  /** Sets the wall clock ahead, or back. Timers do not notice. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  setTimeout(ring: () => void, ms: number): Timer {
    const alarm = { at: this.#now + Math.max(0, ms), ring };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  /** How many timers are set. */
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

/** Everything that promises have set off is done. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
