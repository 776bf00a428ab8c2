import { useSyncExternalStore } from "react";

/**
 * A store that is active while a component subscribes to it. Creating one has no effects: React may create several and render
 * with one that it never subscribes to.
 */
export abstract class Store<Snapshot extends object> {
  readonly #initial: Snapshot;
  #snapshot: Snapshot;
  readonly #listeners = new Set<() => void>();
  #life: AbortController | undefined;

  constructor(initial: Snapshot) {
    this.#initial = this.#snapshot = initial;
  }

  /** Starts the store. @param life aborted when the last listener leaves */
  protected abstract start(life: AbortSignal): void;

  /** Returns the same object until something changes. */
  readonly getSnapshot = (): Snapshot => this.#snapshot;

  readonly getInitial = (): Snapshot => this.#initial;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#life === undefined) this.#start();
    return () => {
      this.#listeners.delete(listener);
      // StrictMode removes each listener once and adds it again at once.
      queueMicrotask(() => {
        if (this.#listeners.size === 0) this.#end();
      });
    };
  };

  /** Aborted when the last listener leaves; `undefined` without listeners. */
  protected get life(): AbortSignal | undefined {
    return this.#life?.signal;
  }

  protected update(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    this.#notify();
  }

  /** Ends and starts the store again, if it has listeners. */
  protected restart(): void {
    if (this.#life === undefined) return;
    this.#end();
    this.#start();
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #start(): void {
    this.#life = new AbortController();
    this.start(this.#life.signal);
  }

  #end(): void {
    this.#life?.abort();
    this.#life = undefined;
    this.#snapshot = this.#initial;
  }
}

/** Subscribes a component to a store. */
export function useStore<Snapshot extends object>(store: Store<Snapshot>): Snapshot {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getInitial);
}
