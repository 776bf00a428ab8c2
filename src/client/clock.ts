/** Time as the client sees it. Every timeout, age and deadline goes through one of these, so that a test can move it. */
export interface Clock {
  /** ms since the epoch. It may jump when somebody sets the device's clock. */
  now(): number;
  /** ms from any start, which never go back. Default: `now`. */
  monotonic?(): number;
  /** Calls `callback` once, `ms` from now. */
  setTimeout(callback: () => void, ms: number): Timer;
}

export interface Timer {
  /** Twice, or after it rang, is no error. */
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
 * Measures an age, in ms. The clock that went further counts: a wall clock goes back when it is corrected, and in some
 * browsers a monotonic one stops while the device sleeps.
 * @param age the age at the start
 */
export function stopwatch(clock: Clock, age = 0): () => number {
  const [wall, start] = [clock.now() - age, monotonicNow(clock) - age];
  return () => Math.max(clock.now() - wall, monotonicNow(clock) - start);
}
