/** Time as the client sees it. Whatever waits or ages goes through one of these, so that a test can move it. */
export interface Clock {
  /** ms since the epoch. */
  now(): number;
  /** Calls `callback` once, `ms` from now. */
  setTimeout(callback: () => void, ms: number): Timer;
}

export interface Timer {
  /** Twice, or after it rang, is no error. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
