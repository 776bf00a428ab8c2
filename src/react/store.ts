import { useSyncExternalStore } from "react";

/**
 * Something that lives as long as a component listens to it. Making one has no effects, so React may make as many as it
 * likes, and render with one that is never listened to.
 */
export abstract class Store<Snapshot extends object> {
  readonly #initial: Snapshot;
  #snapshot: Snapshot;
  readonly #listeners = new Set<() => void>();
  #life: AbortController | undefined;

  constructor(initial: Snapshot) {
    this.#initial = this.#snapshot = initial;
  }

  /** @param life aborted when nobody listens any more */
  protected abstract begin(life: AbortSignal): void;

  /** The same object until something changes. */
  readonly getSnapshot = (): Snapshot => this.#snapshot;

  readonly getInitial = (): Snapshot => this.#initial;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#life === undefined) this.#begin();
    return () => {
      this.#listeners.delete(listener);
      // StrictMode takes away every listener once and puts it back at once.
      queueMicrotask(() => {
        if (this.#listeners.size === 0) this.#end();
      });
    };
  };

  /** The one under way; `undefined`: nobody listens. */
  protected get life(): AbortSignal | undefined {
    return this.#life?.signal;
  }

  protected update(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    this.#tell();
  }

  /** Begins anew, if anybody listens. */
  protected restart(): void {
    if (this.#life === undefined) return;
    this.#end();
    this.#begin();
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #begin(): void {
    this.#life = new AbortController();
    this.begin(this.#life.signal);
  }

  #end(): void {
    this.#life?.abort();
    this.#life = undefined;
    this.#snapshot = this.#initial;
  }
}

export function useStore<Snapshot extends object>(store: Store<Snapshot>): Snapshot {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getInitial);
}
