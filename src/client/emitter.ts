/** Calls an application's function. What it throws is the application's: it is reported as uncaught, and stops nothing here. */
export function callListener<T>(listener: ((value: T) => void) | undefined, value: T): void {
  try {
    listener?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Tells many. */
export class Emitter<T> {
  readonly #listeners = new Set<(value: T) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** @returns what ends it */
  on(listener: (value: T) => void): () => void {
    // A function of its own, so that the same one given twice is told twice.
    const tell = (value: T) => callListener(listener, value);
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }

  emit(value: T): void {
    for (const tell of [...this.#listeners]) tell(value);
  }
}
