import { elapsed } from "./elapsed.ts";

/** Lines of each kind that pass in a window. After them, only the 100th, the 1,000th and so on pass. */
const FIRST = 10;

const WINDOW_MS = 10_000;

/** Kinds with a count of their own. Further kinds share one count. */
const MAX_KEYS = 100;

interface Window {
  readonly since: number;
  count: number;
}

/** Samples log lines that clients can cause, so that a flood writes only a few lines, with their count. */
export class Sampler {
  readonly #windows = new Map<string, Window>();
  readonly #now: () => number;

  /** @param now ms of a monotonic clock */
  constructor(now: () => number = elapsed) {
    this.#now = now;
  }

  /**
   * Counts a line.
   * @returns the lines of this kind in the last ten seconds when this one should be written; otherwise `undefined`
   */
  count(kind: string): number | undefined {
    const window = this.#window(kind);
    const count = ++window.count;
    return count <= FIRST || isPowerOfTen(count) ? count : undefined;
  }

  #window(kind: string): Window {
    const now = this.#now();
    const key = this.#windows.has(kind) || this.#windows.size < MAX_KEYS ? kind : "";
    const current = this.#windows.get(key);
    if (current !== undefined && now - current.since < WINDOW_MS) return current;
    const fresh = { since: now, count: 0 };
    this.#windows.set(key, fresh);
    return fresh;
  }
}

function isPowerOfTen(count: number): boolean {
  return Number.isInteger(Math.log10(count));
}
