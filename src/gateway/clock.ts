import { createElapsed, elapsed } from "../internal/elapsed.ts";

/**
 * Time as the gateway sees it. Every limit, age and deadline goes through one of these: a wall clock dates events, and
 * elapsed time decides everything else, so that a correction of the wall clock closes no connection.
 */
export interface Clock {
  /** ms since the epoch. */
  now(): number;
  /** ms from any origin, never less than before. Default: how far `now` has gone on, where a step back is no time. */
  elapsed?(): number;
  /** Calls `callback` once, `ms` from now. The timer alone does not keep the process alive. */
  setTimeout(callback: () => void, ms: number): Timer;
}

/** A clock that tells elapsed time. */
export type SteadyClock = Required<Clock>;

/** The clock with elapsed time of its own, or by its `now`. */
export function toSteadyClock(clock: Clock): SteadyClock {
  const passed = createElapsed(() => clock.now());
  return {
    now: () => clock.now(),
    elapsed: () => clock.elapsed?.() ?? passed(),
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
  };
}

export interface Timer {
  /** Twice, or after it rang, is no error. */
  cancel(): void;
}

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(callback: () => void, ms: number) {
    this.#timeout = setTimeout(callback, ms);
    this.#timeout.unref();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

export const systemClock: SteadyClock = {
  now: () => Date.now(),
  elapsed,
  setTimeout: (callback, ms) => new SystemTimer(callback, ms),
};

interface ManualTimer {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it: two hours pass in milliseconds. */
export class ManualClock implements SteadyClock {
  readonly #alarms = new Set<ManualTimer>();
  #elapsed = 0;
  /** The wall clock at an elapsed time of 0, in ms since the epoch. */
  #start: number;

  /** @param start ms since the epoch; default 2026-01-01T00:00:00Z */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  setTimeout(callback: () => void, ms: number): Timer {
    const alarm = { at: this.#elapsed + Math.max(0, ms), callback };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  /** How many timers are set: after a clean stop, none. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Moves time on by `ms`; what falls due rings in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#elapsed + ms;
    for (let next = this.#nextAlarm(end); next; next = this.#nextAlarm(end)) {
      this.#alarms.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.callback();
    }
    this.#elapsed = end;
  }

  /** Sets the wall clock ahead by `ms`, or back: no time elapses, and nothing rings. */
  jump(ms: number): void {
    this.#start += ms;
  }

  #nextAlarm(end: number): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (first === undefined || alarm.at < first.at)) first = alarm;
    }
    return first;
  }
}

/**
 * Calls `task` every `ms`, counted from the end of the one before, so that no two run at once. It must not reject.
 */
export function repeat(clock: Clock, ms: number, task: () => Promise<void>): Timer {
  let cancelled = false;
  let timer: Timer | undefined;
  const wait = () => {
    if (!cancelled) timer = clock.setTimeout(() => void task().then(wait), ms);
  };
  wait();
  return {
    cancel() {
      cancelled = true;
      timer?.cancel();
    },
  };
}
