/** Runs operations with the same key one after the other, within this process. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `operation` when all earlier ones with this key have settled. Rejects only when `operation` itself fails. */
  async run<T>(key: string, operation: () => Promise<T>): Promise<T> {
    const previous = this.#last.get(key);
    const current = previous === undefined ? operation() : previous.then(operation);
    const settled = current.catch(() => {});
    this.#last.set(key, settled);
    try {
      return await current;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
