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

/** The state of a connection on `$connect`, when it has no row. Changes are buffered until the end of the chain. */
export class ConnectionState {
  #buffer: Map<string, Json | undefined> | undefined;

  connection(): Promise<Connection | undefined> {
    return Promise.resolve(undefined);
  }

  set(key: string, value: unknown): void {
    assertKeyAllowed(key);
    this.#buffer ??= new Map();
    this.#buffer.set(key, value === undefined ? undefined : toJson(value));
  }

  get(key: string): Promise<Json | undefined> {
    return Promise.resolve(this.buffered(key));
  }

  async update(key: string, change: (current: Json | undefined) => unknown): Promise<Json | undefined> {
    this.set(key, change(this.buffered(key)));
    return this.buffered(key);
  }

  /** Returns the buffered values as the state of a new row. */
  initialState(): { readonly [key: string]: Json } {
    return Object.fromEntries(
      this.entries().filter((entry): entry is [string, Json] => entry[1] !== undefined),
    );
  }

  /** Whether there are buffered values to write. */
  get isDirty(): boolean {
    return this.#buffer !== undefined;
  }

  /** The buffered values, with `undefined` for keys to remove. */
  protected entries(): [key: string, value: Json | undefined][] {
    return [...(this.#buffer ?? [])];
  }

  protected isBuffered(key: string): boolean {
    return this.#buffer?.has(key) ?? false;
  }

  /** Returns a copy of a buffered value. */
  protected buffered(key: string): Json | undefined {
    return copyIfObject(this.#buffer?.get(key));
  }
}

/** The state of a connection that has a row. The buffer is written in one call after the chain. */
export class StoredState extends ConnectionState {
  readonly #store: ConnectionStore;
  readonly #connectionId: string;
  readonly #budget: TimeBudget;
  /** `null` when the row was read and does not exist. */
  #row: Connection | null | undefined;
  #loading: Promise<Connection | null> | undefined;
  /** Values that `update` has written. They are newer than the row. */
  #updated: Map<string, Json | undefined> | undefined;

  /** @param row the row if the event has already read it; `null` when it does not exist */
  constructor(
    store: ConnectionStore,
    connectionId: string,
    budget: TimeBudget,
    row: Connection | null | undefined,
  ) {
    super();
    this.#store = store;
    this.#connectionId = connectionId;
    this.#budget = budget;
    this.#row = row;
  }

  override async connection(): Promise<Connection | undefined> {
    return (this.#row === undefined ? await this.#load() : this.#row) ?? undefined;
  }

  override get(key: string): Promise<Json | undefined> {
    if (this.#row !== undefined) return Promise.resolve(this.#read(key));
    return this.#load().then(() => this.#read(key));
  }

  override async update(
    key: string,
    change: (current: Json | undefined) => unknown,
  ): Promise<Json | undefined> {
    if (this.isBuffered(key)) return super.update(key, change);
    assertKeyAllowed(key);
    let isRemoved = false;
    const written = await fromStore(
      this.#store.updateState(
        this.#connectionId,
        key,
        (current) => {
          const next = change(current === undefined ? undefined : copyJson(current));
          isRemoved = next === undefined;
          return isRemoved ? undefined : toJson(next);
        },
        this.#budget,
      ),
    );
    if (written === undefined && !isRemoved) throw new LiftError("CONNECTION_CLOSED");
    this.#updated ??= new Map();
    this.#updated.set(key, written);
    return written === undefined ? undefined : copyJson(written);
  }

  /** Writes the buffered values. @throws {LiftError} CONNECTION_CLOSED, STORE_FAILED */
  async flush(): Promise<void> {
    if (!this.isDirty) return;
    const entries = Object.fromEntries(this.entries());
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
    if (this.isBuffered(key)) return this.buffered(key);
    if (this.#updated?.has(key)) return copyIfObject(this.#updated.get(key));
    return this.#row ? copyOfField(this.#row.state, key) : undefined;
  }
}

/**
 * Lift stores a refreshed identity in the state. Applications may take keys from clients, so they cannot set it.
 * @throws {LiftError} RESERVED_KEY
 */
function assertKeyAllowed(key: string): void {
  if (key.startsWith("lift:")) throw new LiftError("RESERVED_KEY");
}

/** Returns a copy of a state's field, which the caller may change. */
export function copyOfField(state: JsonObject, key: string): Json | undefined {
  const value = state[key];
  // hasOwn is slower than a read, and no property of Object.prototype is a primitive.
  if (value === undefined || (typeof value !== "object" && typeof value !== "function")) return value;
  return Object.hasOwn(state, key) ? copyIfObject(value) : undefined;
}

function copyIfObject(value: Json | undefined): Json | undefined {
  return typeof value === "object" ? copyJson(value) : value;
}

/**
 * Waits for a call of the store and wraps its error.
 * @throws {LiftError} TOO_MANY_CONNECTIONS, STORE_FAILED, or the LiftError of a callback that ran inside the store
 */
export async function fromStore<Value>(call: Promise<Value>): Promise<Value> {
  try {
    return await call;
  } catch (cause) {
    if (cause instanceof LiftError) throw cause;
    const isFull = cause instanceof StoreError && cause.code === "TOO_MANY_CONNECTIONS";
    throw new LiftError(isFull ? "TOO_MANY_CONNECTIONS" : "STORE_FAILED", { cause });
  }
}
