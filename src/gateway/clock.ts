import { createElapsed, elapsed } from "../internal/elapsed.ts";

/**
 * The gateway's source of time. The wall clock dates events. Elapsed time decides every limit, age and deadline, so a
 * correction of the wall clock closes no connection.
 */
export interface Clock {
  /** Returns the wall clock in ms since the epoch. */
  now(): number;
  /** Returns elapsed ms since any origin; it never decreases. Default: the forward steps of `now`, added up. */
  elapsed?(): number;
  /** Calls `callback` once after `ms`. The timer does not keep the process alive. */
  setTimeout(callback: () => void, ms: number): Timer;
}

/** A clock that has elapsed time. */
export type SteadyClock = Required<Clock>;

/** Adds elapsed time, derived from `now`, to a clock that has none. */
export function toSteadyClock(clock: Clock): SteadyClock {
  const derived = createElapsed(() => clock.now());
  return {
    now: () => clock.now(),
    elapsed: () => clock.elapsed?.() ?? derived(),
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
  };
}

/** A timer that a {@link Clock} has started. */
export interface Timer {
  /** Stops the timer. Does nothing when the timer has fired or was stopped. */
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

/** The clock of the system and of the process. */
export const systemClock: SteadyClock = {
  now: () => Date.now(),
  elapsed,
  setTimeout: (callback, ms) => new SystemTimer(callback, ms),
};

interface ManualTimer {
  readonly at: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until a test moves it, so that two hours pass in milliseconds.
 * @example
 * const clock = new ManualClock();
 * const gateway = createGateway({ handler, clock });
 * clock.advance(600_000); // Idle connections are closed.
 */
export class ManualClock implements SteadyClock {
  readonly #timers = new Set<ManualTimer>();
  #elapsed = 0;
  /** Wall clock at an elapsed time of 0, in ms since the epoch. */
  #start: number;

  /** @param start ms since the epoch; default 2026-01-01T00:00:00Z */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  /** Returns the wall clock in ms since the epoch. */
  now(): number {
    return this.#start + this.#elapsed;
  }

  /** Returns the sum of all `advance` calls in ms. */
  elapsed(): number {
    return this.#elapsed;
  }

  /** Calls `callback` when `advance` reaches `ms` from now. */
  setTimeout(callback: () => void, ms: number): Timer {
    const timer = { at: this.#elapsed + Math.max(0, ms), callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Number of timers that have not fired. 0 after a clean stop. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Advances time by `ms`. Due timers fire in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#elapsed + ms;
    for (let next = this.#nextTimer(end); next; next = this.#nextTimer(end)) {
      this.#timers.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.callback();
    }
    this.#elapsed = end;
  }

  /** Moves the wall clock by `ms`, forward or backward. No time elapses, so no timer fires. */
  jump(ms: number): void {
    this.#start += ms;
  }

  #nextTimer(end: number): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}

/** Waits for `work`, which must not reject, at most `ms`. */
export function waitAtMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(resolve, ms);
    void work.then(() => {
      timer.cancel();
      resolve();
    });
  });
}

/**
 * Calls `task` repeatedly until it is cancelled. Calls never overlap.
 * @param ms time from the end of one call to the start of the next
 * @param task must not reject
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
