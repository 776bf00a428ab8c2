/** Calls an application's listener. Reports its error as uncaught, so that it does not stop the client. */
export function callListener<T>(listener: ((value: T) => void) | undefined, value: T): void {
  try {
    listener?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Calls many listeners. */
export class Emitter<T> {
  readonly #listeners = new Set<(value: T) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** @returns a function that removes the listener */
  on(listener: (value: T) => void): () => void {
    // Wraps the listener, so that one added twice is called twice.
    const wrapped = (value: T) => callListener(listener, value);
    this.#listeners.add(wrapped);
    return () => this.#listeners.delete(wrapped);
  }

  emit(value: T): void {
    for (const listener of [...this.#listeners]) listener(value);
  }
}
