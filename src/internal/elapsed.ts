/** Elapsed time in ms, from an origin of its own. It never goes back. */
export type Elapsed = () => number;

/** Elapsed time by the process's monotonic clock, which no correction of the wall clock moves. */
export const elapsed: Elapsed = () => performance.now();

/**
 * Elapsed time that goes with a wall clock: for `Date.now` that of the process's monotonic clock. For another one, such
 * as a test's, how far it has gone on; a step back counts as no time.
 */
export function createElapsed(now: () => number): Elapsed {
  if (now === Date.now) return elapsed;
  let last = now();
  let passed = 0;
  return () => {
    const time = now();
    passed += Math.max(0, time - last);
    last = time;
    return passed;
  };
}
