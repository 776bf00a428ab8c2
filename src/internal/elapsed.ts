/** Elapsed time in ms, from an origin of its own. It never goes back. */
export type Elapsed = () => number;

/** Elapsed time by the process's monotonic clock, which no correction of the wall clock moves. */
export const elapsed: Elapsed = () => performance.now();

/** Elapsed time by a clock that may be set back, such as a test's: a step back counts as no time. */
export function elapsedBy(now: () => number): Elapsed {
  let last = now();
  let passed = 0;
  return () => {
    const time = now();
    passed += Math.max(0, time - last);
    last = time;
    return passed;
  };
}
