import type { Connection, ConnectionStore } from "../contracts/connections.ts";
import type { Json } from "../contracts/json.ts";
import type { TimeBudget } from "../contracts/time-budget.ts";
import { frozenCopy } from "./freeze.ts";
import { Lifetimes } from "./lifetimes.ts";
import { OwnerIndex } from "./owner-index.ts";

export interface MemoryConnectionStoreOptions {
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** The longest that a Lambda runs: a save that started before a delete can't come later. */
const TOMBSTONE_MS = 15 * 60 * 1000;

/** Rows looked at for expiry on each save: more than one, so that the dead never outgrow the living. */
const SWEPT_PER_SAVE = 2;

/**
 * Connections in this process's memory, for one process and as long as it lives. Rows are frozen and replaced
 * whole, so what `get` returns is a snapshot without a copy. Leaves no timer: what is past due is swept by and by.
 */
export function memoryConnectionStore(options: MemoryConnectionStoreOptions = {}): ConnectionStore {
  return new MemoryConnectionStore(options.now ?? Date.now);
}

class MemoryConnectionStore implements ConnectionStore {
  readonly #now: () => number;
  readonly #rows = new Map<string, Connection>();
  readonly #lifetimes: Lifetimes;
  /** By id: the end of each row, as `Lifetimes` measures it. */
  readonly #ends = new Map<string, number>();
  readonly #byUser = new OwnerIndex<Connection>();
  readonly #byTenant = new OwnerIndex<Connection>();
  /** Until when a deleted id can't be saved, in ms; in order of deletion, so of expiry too. */
  readonly #tombstones = new Map<string, number>();
  /** Rows that were removed and kept; each goes with its tombstone. */
  readonly #removed = new Map<string, Connection>();
  #sweeper: MapIterator<string> = this.#rows.keys();

  constructor(now: () => number) {
    this.#now = now;
    this.#lifetimes = new Lifetimes(now);
  }

  async save(connection: Connection): Promise<boolean> {
    this.#sweep();
    const { id } = connection;
    if (this.#tombstones.has(id)) return false;
    if (this.#live(id) !== undefined || connection.expiresAt <= this.#now()) return true;
    this.#ends.set(id, this.#lifetimes.endOf(connection.expiresAt));
    this.#put(frozenRow(connection));
    return true;
  }

  async get(
    id: string,
    _budget?: TimeBudget,
    { removed = false }: { readonly removed?: boolean } = {},
  ): Promise<Connection | undefined> {
    const row = this.#live(id);
    if (row !== undefined || !removed) return row;
    this.#sweep();
    const kept = this.#removed.get(id);
    return kept !== undefined && kept.expiresAt > this.#now() ? kept : undefined;
  }

  peek(id: string, now: number): Connection | undefined {
    const row = this.#rows.get(id);
    return row === undefined || !this.#isOver(row, now) ? row : undefined;
  }

  async delete(
    id: string,
    _budget?: TimeBudget,
    { keep = false }: { readonly keep?: boolean } = {},
  ): Promise<void> {
    this.#sweep();
    const row = this.#live(id);
    this.#remove(id);
    if (this.#tombstones.has(id)) return;
    this.#tombstones.set(id, this.#now() + TOMBSTONE_MS);
    if (keep && row !== undefined) this.#removed.set(id, row);
  }

  async setState(id: string, entries: { readonly [key: string]: Json | undefined }): Promise<boolean> {
    const row = this.#live(id);
    if (row === undefined) return false;
    this.#put(withState(row, entries));
    return true;
  }

  async updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
  ): Promise<Json | undefined> {
    const row = this.#live(id);
    if (row === undefined) return undefined;
    const changed = withState(row, { [key]: change(stateOf(row, key)) });
    this.#put(changed);
    return stateOf(changed, key);
  }

  listByUser(userId: string): AsyncIterable<Connection> {
    return this.#list(this.#byUser.list(userId));
  }

  listByTenant(tenantId: string): AsyncIterable<Connection> {
    return this.#list(this.#byTenant.list(tenantId));
  }

  async count(): Promise<number> {
    for (const id of this.#rows.keys()) this.#live(id);
    return this.#rows.size;
  }

  /** An async generator would wait three times for each row; a broadcast lists thousands. */
  #list(rows: readonly Connection[]): AsyncIterable<Connection> {
    return {
      [Symbol.asyncIterator]: () => {
        const rest = rows.values();
        return { next: () => Promise.resolve(this.#nextLive(rest)) };
      },
    };
  }

  #nextLive(rows: IterableIterator<Connection>): IteratorResult<Connection, undefined> {
    const now = this.#now();
    let next = rows.next();
    while (!next.done && this.#isOver(next.value, now)) next = rows.next();
    return next;
  }

  #put(row: Connection): void {
    const { id, userId, tenantId } = row;
    this.#rows.set(id, row);
    if (userId !== undefined) this.#byUser.set(userId, id, row);
    if (tenantId !== undefined) this.#byTenant.set(tenantId, id, row);
  }

  #isOver({ id, expiresAt }: Connection, now: number): boolean {
    return this.#lifetimes.isOver(expiresAt, this.#ends.get(id) ?? 0, now);
  }

  /** The row, unless its time is over; then it goes now. */
  #live(id: string): Connection | undefined {
    const row = this.#rows.get(id);
    if (row === undefined || !this.#isOver(row, this.#now())) return row;
    this.#remove(id);
    return undefined;
  }

  #remove(id: string): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#rows.delete(id);
    this.#ends.delete(id);
    if (row.userId !== undefined) this.#byUser.delete(row.userId, id);
    if (row.tenantId !== undefined) this.#byTenant.delete(row.tenantId, id);
  }

  #sweep(): void {
    const now = this.#now();
    for (const [id, until] of this.#tombstones) {
      if (until > now) break;
      this.#tombstones.delete(id);
      this.#removed.delete(id);
    }
    for (let looked = 0; looked < SWEPT_PER_SAVE; looked++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#rows.keys();
        return;
      }
      this.#live(next.value);
    }
  }
}

/** Spreading defines own properties, so `__proto__` is a key like any other. Values that stay are frozen already. */
function withState(row: Connection, entries: { readonly [key: string]: Json | undefined }): Connection {
  const merged: [string, Json | undefined][] = Object.entries({ ...row.state, ...entries });
  const state = merged.flatMap(([key, value]): [string, Json][] => {
    if (value === undefined) return [];
    return [[key, Object.hasOwn(entries, key) ? frozenCopy(value) : value]];
  });
  return Object.freeze({ ...row, state: Object.freeze(Object.fromEntries(state)) });
}

function frozenRow(row: Connection): Connection {
  return Object.freeze({ ...row, metadata: frozenCopy(row.metadata), state: frozenCopy(row.state) });
}

function stateOf(row: Connection, key: string): Json | undefined {
  return Object.hasOwn(row.state, key) ? row.state[key] : undefined;
}
