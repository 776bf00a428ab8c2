/** How long to wait before trying again. */
export interface Backoff {
  /** The most before the first try, in ms; doubled with each. */
  readonly baseMs: number;
  /** The most at all, in ms. */
  readonly maxMs: number;
  /** 0 to 1. */
  readonly random: () => number;
}

/**
 * Anything between nothing and the most ("full jitter"), so that a thousand clients that were cut off together do not
 * come back together.
 * @param failures how often it has failed, 1 or more
 */
export function delayOf({ baseMs, maxMs, random }: Backoff, failures: number): number {
  // Past 2^30 the product would say nothing more.
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
}
