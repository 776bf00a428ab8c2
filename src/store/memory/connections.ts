import type { Connection, ConnectionPage, ConnectionStore } from "../contracts/connections.ts";
import type { Json } from "../contracts/json.ts";
import type { TimeBudget } from "../contracts/time-budget.ts";
import { frozenCopy } from "./freeze.ts";
import { Lifetimes } from "./lifetimes.ts";
import { OwnerIndex } from "./owner-index.ts";

/** Options of `memoryConnectionStore`. */
export interface MemoryConnectionStoreOptions {
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** The longest that a Lambda runs, so no save that started before a delete arrives later. */
const TOMBSTONE_MS = 15 * 60 * 1000;

/** Rows checked for expiry on each save. More than one, so that expired rows never outnumber the live ones. */
const SWEPT_PER_SAVE = 2;

/**
 * Creates a connection store in this process's memory. Rows are frozen and replaced as a whole, so `get` returns a
 * snapshot without copying. It needs no timer: saves remove expired rows.
 * @example
 * const app = new Lift({ connectionStore: memoryConnectionStore() });
 */
export function memoryConnectionStore(options: MemoryConnectionStoreOptions = {}): ConnectionStore {
  return new MemoryConnectionStore(options.now ?? Date.now);
}

class MemoryConnectionStore implements ConnectionStore {
  readonly #now: () => number;
  readonly #rows = new Map<string, Connection>();
  readonly #lifetimes: Lifetimes;
  /** By id: when each row ends, in elapsed ms as of `Lifetimes`. */
  readonly #ends = new Map<string, number>();
  readonly #byUser = new OwnerIndex<Connection>();
  readonly #byTenant = new OwnerIndex<Connection>();
  /**
   * By id: end of the time in which the row cannot be saved again, in ms since the epoch. In order of deletion, and
   * so of expiry.
   */
  readonly #tombstones = new Map<string, number>();
  /** Rows that were deleted with `keep`; each is removed with its tombstone. */
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
    if (this.#getLive(id) !== undefined || connection.expiresAt <= this.#now()) return true;
    this.#ends.set(id, this.#lifetimes.elapsedEnd(connection.expiresAt));
    this.#put(freezeRow(connection));
    return true;
  }

  async get(
    id: string,
    _budget?: TimeBudget,
    { removed = false }: { readonly removed?: boolean } = {},
  ): Promise<Connection | undefined> {
    const row = this.#getLive(id);
    if (row !== undefined || !removed) return row;
    this.#sweep();
    const kept = this.#removed.get(id);
    return kept !== undefined && kept.expiresAt > this.#now() ? kept : undefined;
  }

  peek(id: string, now: number): Connection | undefined {
    const row = this.#rows.get(id);
    return row === undefined || !this.#isExpired(row, now) ? row : undefined;
  }

  async delete(
    id: string,
    _budget?: TimeBudget,
    { keep = false }: { readonly keep?: boolean } = {},
  ): Promise<void> {
    this.#sweep();
    const row = this.#getLive(id);
    this.#remove(id);
    if (this.#tombstones.has(id)) return;
    this.#tombstones.set(id, this.#now() + TOMBSTONE_MS);
    if (keep && row !== undefined) this.#removed.set(id, row);
  }

  async setState(id: string, entries: { readonly [key: string]: Json | undefined }): Promise<boolean> {
    const row = this.#getLive(id);
    if (row === undefined) return false;
    this.#put(withState(row, entries));
    return true;
  }

  async updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
  ): Promise<Json | undefined> {
    const row = this.#getLive(id);
    if (row === undefined) return undefined;
    const changed = withState(row, { [key]: change(getStateValue(row, key)) });
    this.#put(changed);
    return getStateValue(changed, key);
  }

  listByUser(userId: string): AsyncIterable<Connection> {
    return this.#list(this.#byUser.list(userId));
  }

  listByTenant(tenantId: string): AsyncIterable<Connection> {
    return this.#list(this.#byTenant.list(tenantId));
  }

  async count(): Promise<number> {
    for (const id of this.#rows.keys()) this.#getLive(id);
    return this.#rows.size;
  }

  async listPage({ after = "", limit }: { after?: string; limit: number }): Promise<ConnectionPage> {
    // Every row costs a comparison per page, but sorted ids need no state between pages.
    const ids = [...this.#rows.keys()].filter((id) => id > after).sort();
    const page = ids.slice(0, limit);
    const connections = page.flatMap((id) => this.#getLive(id) ?? []);
    return { connections, ...(ids.length > limit ? { next: page.at(-1)! } : {}) };
  }

  /** Not an async generator, which awaits three times per row: a broadcast lists thousands. */
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
    while (!next.done && this.#isExpired(next.value, now)) next = rows.next();
    return next;
  }

  #put(row: Connection): void {
    const { id, userId, tenantId } = row;
    this.#rows.set(id, row);
    if (userId !== undefined) this.#byUser.set(userId, id, row);
    if (tenantId !== undefined) this.#byTenant.set(tenantId, id, row);
  }

  #isExpired({ id, expiresAt }: Connection, now: number): boolean {
    return this.#lifetimes.isExpired(expiresAt, this.#ends.get(id) ?? 0, now);
  }

  /** Returns a live row; removes an expired one. */
  #getLive(id: string): Connection | undefined {
    const row = this.#rows.get(id);
    if (row === undefined || !this.#isExpired(row, this.#now())) return row;
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
    for (let checked = 0; checked < SWEPT_PER_SAVE; checked++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#rows.keys();
        return;
      }
      this.#getLive(next.value);
    }
  }
}

/** Spreading defines own properties, so `__proto__` is a key like any other. Existing values are frozen already. */
function withState(row: Connection, entries: { readonly [key: string]: Json | undefined }): Connection {
  const merged: [string, Json | undefined][] = Object.entries({ ...row.state, ...entries });
  const state = merged.flatMap(([key, value]): [string, Json][] => {
    if (value === undefined) return [];
    return [[key, Object.hasOwn(entries, key) ? frozenCopy(value) : value]];
  });
  return Object.freeze({ ...row, state: Object.freeze(Object.fromEntries(state)) });
}

function freezeRow(row: Connection): Connection {
  return Object.freeze({ ...row, metadata: frozenCopy(row.metadata), state: frozenCopy(row.state) });
}

function getStateValue(row: Connection, key: string): Json | undefined {
  return Object.hasOwn(row.state, key) ? row.state[key] : undefined;
}
