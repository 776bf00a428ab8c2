import { elapsed } from "./elapsed.ts";

/** So many pass for each key and window; after that only the 100th, the 1,000th, and so on. */
const FIRST = 10;

const WINDOW_MS = 10_000;

/** Keys that are counted apart; all further ones share a count. */
const MAX_KEYS = 100;

interface Window {
  readonly since: number;
  count: number;
}

/** Thins out lines that a client can cause as fast as it sends: a flood writes a few of them, with their count. */
export class Sampler {
  readonly #windows = new Map<string, Window>();
  readonly #now: () => number;

  /** @param now ms of a monotonic clock */
  constructor(now: () => number = elapsed) {
    this.#now = now;
  }

  /**
   * Counts one line of a kind.
   * @returns how many there were in the last ten seconds, this one included, when it is one to write; else `undefined`
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
