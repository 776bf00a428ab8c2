/** Returns elapsed time in ms since any origin. It never decreases. */
export type Elapsed = () => number;

/** Elapsed time of the process's monotonic clock, which ignores corrections of the wall clock. */
export const elapsed: Elapsed = () => performance.now();

/**
 * Creates elapsed time for a wall clock. For `Date.now` it is the monotonic clock. For another clock, such as a test's, it
 * is the sum of the forward steps.
 */
export function createElapsed(now: () => number): Elapsed {
  if (now === Date.now) return elapsed;
  let last = now();
  let total = 0;
  return () => {
    const time = now();
    total += Math.max(0, time - last);
    last = time;
    return total;
  };
}
