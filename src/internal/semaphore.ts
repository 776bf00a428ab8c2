/** Limits how many asynchronous operations run at once; the others wait in order. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param permits how many operations may run at once; 1 or more */
  constructor(permits: number) {
    this.#free = permits;
  }

  /** Runs `operation` when a permit is free, and releases the permit when it settles. */
  async use<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await operation();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
