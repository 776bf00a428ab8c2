/** When a failed action is tried again. */
export interface Backoff {
  /** ms. */
  readonly firstMs: number;
  /** ms. */
  readonly longestMs: number;
}

/** Past it, doubling says nothing more. */
const MOST_DOUBLINGS = 30;

/**
 * How long to wait before the next attempt, in ms: doubled with each failure, and anything between half of that and
 * all of it, so that items that failed together do not fall due together.
 * @param failures 1 or more
 */
export function backoffMs({ firstMs, longestMs }: Backoff, failures: number): number {
  const most = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS));
  return (most * (1 + Math.random())) / 2;
}
