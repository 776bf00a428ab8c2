/** Calls an application's function. What it throws is the application's: it is reported as uncaught, and stops nothing here. */
export function call<T>(listener: ((value: T) => void) | undefined, value: T): void {
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
  readonly #listeners = new Set<{ readonly listener: (value: T) => void }>();

  /** @returns what ends it */
  on(listener: (value: T) => void): () => void {
    // An object of its own, so that the same function given twice is told twice.
    const entry = { listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  get size(): number {
    return this.#listeners.size;
  }

  emit(value: T): void {
    for (const { listener } of [...this.#listeners]) call(listener, value);
  }
}
