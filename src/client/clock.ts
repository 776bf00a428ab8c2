/** The client's source of time. Every timeout, age and deadline uses it, so that tests can control time. */
export interface Clock {
  /** ms since the epoch. May jump when the device's clock is set. */
  now(): number;
  /** ms since an arbitrary start; never decreases. Default: `now`. */
  monotonic?(): number;
  /** Calls `callback` once after `ms`. */
  setTimeout(callback: () => void, ms: number): Timer;
}

/** A pending timeout. */
export interface Timer {
  /** Cancels the timeout. Does nothing when it has fired or was cancelled. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

export function monotonicNow(clock: Clock): number {
  return clock.monotonic?.() ?? clock.now();
}

/**
 * Measures an age, in ms. Uses the clock that advanced further: a wall clock goes back when it is corrected, and in some
 * browsers a monotonic clock stops while the device sleeps.
 * @param age the age at the start
 */
export function stopwatch(clock: Clock, age = 0): () => number {
  const [wall, start] = [clock.now() - age, monotonicNow(clock) - age];
  return () => Math.max(clock.now() - wall, monotonicNow(clock) - start);
}
