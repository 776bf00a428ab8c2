import {
  type Connection,
  type ConnectionStore,
  type Json,
  type JsonObject,
  StoreError,
  type TimeBudget,
} from "../store/index.ts";
import { LiftError } from "./errors.ts";
import { copyJson, toJson } from "./json.ts";

/**
 * One connection's state during one event: what the event has set lies over what the store holds, and is
 * written in one call after the chain.
 */
export class ConnectionState {
  readonly #store: ConnectionStore;
  readonly #connectionId: string;
  readonly #budget: TimeBudget;
  /** `null`: read, and there is no row. */
  #row: Connection | null | undefined;
  #loading: Promise<Connection | null> | undefined;
  #buffer: Map<string, Json | undefined> | undefined;
  /** What `update` has written: newer than the row. */
  #updated: Map<string, Json | undefined> | undefined;

  /** @param row what this event has read already; `null` says that there is none */
  constructor(
    store: ConnectionStore,
    connectionId: string,
    budget: TimeBudget,
    row: Connection | null | undefined,
  ) {
    this.#store = store;
    this.#connectionId = connectionId;
    this.#budget = budget;
    this.#row = row;
  }

  async connection(): Promise<Connection | undefined> {
    return (this.#row === undefined ? await this.#load() : this.#row) ?? undefined;
  }

  set(key: string, value: unknown): void {
    assertKeyAllowed(key);
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
    assertKeyAllowed(key);
    if (connecting || this.#buffer?.has(key)) {
      this.set(key, change(this.#read(key)));
      return this.#read(key);
    }
    let removed = false;
    const written = await fromStore(
      this.#store.updateState(
        this.#connectionId,
        key,
        (current) => {
          const next = change(current === undefined ? undefined : copyJson(current));
          removed = next === undefined;
          return removed ? undefined : toJson(next);
        },
        this.#budget,
      ),
    );
    if (written === undefined && !removed) throw new LiftError("CONNECTION_CLOSED");
    this.#updated ??= new Map();
    this.#updated.set(key, written);
    return written === undefined ? undefined : copyJson(written);
  }

  /** What `set` has buffered, as the state of a new row. */
  initialState(): { readonly [key: string]: Json } {
    if (this.#buffer === undefined) return {};
    return Object.fromEntries(
      [...this.#buffer].filter((entry): entry is [string, Json] => entry[1] !== undefined),
    );
  }

  /** Whether `set` has left something to write. */
  get isDirty(): boolean {
    return this.#buffer !== undefined;
  }

  async flush(): Promise<void> {
    if (this.#buffer === undefined) return;
    const entries = Object.fromEntries(this.#buffer);
    if (!(await fromStore(this.#store.setState(this.#connectionId, entries, this.#budget)))) {
      throw new LiftError("CONNECTION_CLOSED");
    }
  }

  #load(): Promise<Connection | null> {
    this.#loading ??= fromStore(this.#store.get(this.#connectionId, this.#budget)).then((row) => {
      this.#row = row ?? null;
      return this.#row;
    });
    return this.#loading;
  }

  #read(key: string): Json | undefined {
    if (this.#buffer?.has(key)) return copied(this.#buffer.get(key));
    if (this.#updated?.has(key)) return copied(this.#updated.get(key));
    return this.#row ? copyOfField(this.#row.state, key) : undefined;
  }
}

/**
 * Lift keeps a refreshed identity in the state: a key that a client has a say in must not reach it.
 * @throws {LiftError} RESERVED_KEY
 */
function assertKeyAllowed(key: string): void {
  if (key.startsWith("lift:")) throw new LiftError("RESERVED_KEY");
}

/** A field of a state, as a copy that its reader may change. */
export function copyOfField(state: JsonObject, key: string): Json | undefined {
  const value = state[key];
  // Asking whether it is the state's own costs more than reading it; what Object has of its own is no primitive.
  if (value === undefined || (typeof value !== "object" && typeof value !== "function")) return value;
  return Object.hasOwn(state, key) ? copied(value) : undefined;
}

function copied(value: Json | undefined): Json | undefined {
  return typeof value === "object" ? copyJson(value) : value;
}

/**
 * Waits for the store; what it rejects with becomes a cause.
 * @throws {LiftError} TOO_MANY_CONNECTIONS, STORE_FAILED, or whatever LiftError a callback of ours threw inside the store
 */
export async function fromStore<Value>(call: Promise<Value>): Promise<Value> {
  try {
    return await call;
  } catch (cause) {
    if (cause instanceof LiftError) throw cause;
    const full = cause instanceof StoreError && cause.code === "TOO_MANY_CONNECTIONS";
    throw new LiftError(full ? "TOO_MANY_CONNECTIONS" : "STORE_FAILED", { cause });
  }
}
