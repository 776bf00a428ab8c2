import type { Connection, ConnectionStore, Json } from "../store/index.ts";
import { LiftError } from "./errors.ts";
import { copyJson, toJson } from "./json.ts";

/**
 * One connection's state during one event: what the event has set lies over what the store holds, and is
 * written in one call after the chain.
 */
export class ConnectionState {
  readonly #store: ConnectionStore;
  readonly #connectionId: string;
  /** `null`: read, and there is no row. */
  #row: Connection | null | undefined;
  #loading: Promise<Connection | null> | undefined;
  #buffer: Map<string, Json | undefined> | undefined;
  /** What `update` has written: newer than the row. */
  #updated: Map<string, Json | undefined> | undefined;

  constructor(store: ConnectionStore, connectionId: string) {
    this.#store = store;
    this.#connectionId = connectionId;
  }

  /** The row, if it has been read. */
  get row(): Connection | undefined {
    return this.#row ?? undefined;
  }

  /** Takes a row that was read for this event, or on `$connect` the fact that there is none yet. */
  adopt(row: Connection | undefined): void {
    this.#row = row ?? null;
  }

  async connection(): Promise<Connection | undefined> {
    return (this.#row === undefined ? await this.#load() : this.#row) ?? undefined;
  }

  set(key: string, value: unknown): void {
    this.#buffer ??= new Map();
    this.#buffer.set(key, value === undefined ? undefined : toJson(value));
  }

  get(key: string): Promise<Json | undefined> {
    if (this.#row !== undefined) return Promise.resolve(this.#read(key));
    return this.#load().then(() => this.#read(key));
  }

  /** @param connecting whether there is no row yet, so that the change is made to what `set` has buffered */
  async update(
    key: string,
    change: (current: Json | undefined) => unknown,
    connecting: boolean,
  ): Promise<Json | undefined> {
    if (connecting || this.#buffer?.has(key)) {
      this.set(key, change(this.#read(key)));
      return this.#read(key);
    }
    let removed = false;
    const written = await fromStore(
      this.#store.updateState(this.#connectionId, key, (current) => {
        const next = change(current === undefined ? undefined : copyJson(current));
        removed = next === undefined;
        return removed ? undefined : toJson(next);
      }),
    );
    if (written === undefined && !removed) throw new LiftError("CONNECTION_CLOSED");
    this.#updated ??= new Map();
    this.#updated.set(key, written);
    return written === undefined ? undefined : copyJson(written);
  }

  /** What `set` has buffered, as the state of a new row. */
  initial(): { readonly [key: string]: Json } {
    if (this.#buffer === undefined) return {};
    return Object.fromEntries(
      [...this.#buffer].filter((entry): entry is [string, Json] => entry[1] !== undefined),
    );
  }

  /** Whether `set` has left something to write. */
  get dirty(): boolean {
    return this.#buffer !== undefined;
  }

  async flush(): Promise<void> {
    if (this.#buffer === undefined) return;
    const entries = Object.fromEntries(this.#buffer);
    if (!(await fromStore(this.#store.setState(this.#connectionId, entries)))) {
      throw new LiftError("CONNECTION_CLOSED");
    }
  }

  #load(): Promise<Connection | null> {
    this.#loading ??= fromStore(this.#store.get(this.#connectionId)).then((row) => {
      this.adopt(row);
      return row ?? null;
    });
    return this.#loading;
  }

  #read(key: string): Json | undefined {
    const value = this.#find(key);
    return typeof value === "object" ? copyJson(value) : value;
  }

  #find(key: string): Json | undefined {
    if (this.#buffer?.has(key)) return this.#buffer.get(key);
    if (this.#updated?.has(key)) return this.#updated.get(key);
    const state = this.#row?.state;
    return state !== undefined && Object.hasOwn(state, key) ? state[key] : undefined;
  }
}

/**
 * Waits for the store; what it rejects with becomes a cause.
 * @throws {LiftError} STORE_FAILED, or whatever LiftError a callback of ours threw inside the store
 */
export async function fromStore<Value>(call: Promise<Value>): Promise<Value> {
  try {
    return await call;
  } catch (cause) {
    throw cause instanceof LiftError ? cause : new LiftError("STORE_FAILED", { cause });
  }
}
