import type { Json, JsonObject } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/** A snapshot of a connection's row. Later writes do not change it. */
export interface Connection {
  /** API Gateway's connection id. */
  readonly id: string;
  /** Absent for an anonymous connection. */
  readonly userId?: string;
  /** Absent: the connection is in no tenant's list. */
  readonly tenantId?: string;
  /** Set once, on `$connect`. */
  readonly metadata: JsonObject;
  /** The values of `ctx.set`; each key is written separately. */
  readonly state: JsonObject;
  /** The client's IP address. */
  readonly sourceIp: string;
  /** The client's `User-Agent` header. */
  readonly userAgent?: string;
  /** The connection's @connections endpoint: `https://{domainName}/{stage}`. */
  readonly endpoint: string;
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** ms since the epoch. The row is not returned after that time, whether it was removed or not. */
  readonly expiresAt: number;
}

/**
 * Stores connections. Every implementation guarantees:
 *
 * - Every call may be repeated; the second one changes nothing.
 * - A row past its `expiresAt` is never returned, listed or counted.
 * - Two writes to different keys of a connection's state never lose each other.
 * - A store that retries rejects before the caller's budget is over.
 * - `get` sees every write that was acknowledged before it. Lists may lag by seconds, because indexes do.
 */
export interface ConnectionStore {
  /**
   * Adds a row. Saving a connection again keeps the state that was written since.
   * @returns `false`, without a row, when `delete` came first: a late save does not bring a connection back
   * @throws {StoreError} TOO_MANY_CONNECTIONS, without a row, when the store has a limit and has reached it
   */
  save(connection: Connection, budget?: TimeBudget): Promise<boolean>;

  /** @param options `removed`: also returns rows that were deleted with `keep` */
  get(
    id: string,
    budget?: TimeBudget,
    options?: { readonly removed?: boolean },
  ): Promise<Connection | undefined>;

  /**
   * Does the same as `get` synchronously, for stores in this process's memory. Optional: in a message event, a promise
   * costs more than the look-up, and so does reading the clock.
   * @param now ms since the epoch, from the event
   */
  peek?(id: string, now: number): Connection | undefined;

  /**
   * Removes the row, and refuses to save it again for 15 minutes, the longest that a Lambda runs.
   * @param options `keep`: keeps the row's content for that long, but not past its expiry, for a `$disconnect` that has
   * not arrived yet. `get` returns it with `removed`; no list or count includes it.
   */
  delete(id: string, budget?: TimeBudget, options?: { readonly keep?: boolean }): Promise<void>;

  /**
   * Writes keys of a connection's state; `undefined` removes a key.
   * @returns `false` when there is no row
   */
  setState(
    id: string,
    entries: { readonly [key: string]: Json | undefined },
    budget?: TimeBudget,
  ): Promise<boolean>;

  /**
   * Changes one key atomically, based on its current value. `change` runs again when another write was faster, so it must
   * not have side effects. The key is removed when `change` returns `undefined`.
   * @returns the written value; `undefined` when the key was removed, or when there is no row and nothing was written
   */
  updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ): Promise<Json | undefined>;

  /** Lists the live connections of a user. */
  listByUser(userId: string): AsyncIterable<Connection>;

  /** Lists the live connections of a tenant. */
  listByTenant(tenantId: string): AsyncIterable<Connection>;

  /** Counts live connections. */
  count(): Promise<number>;

  /**
   * Lists the live connections of all users, a page at a time. Optional: only comparing and copying whole stores needs it.
   * A row that exists during all pages is in at least one of them.
   * @param page `after`: the `next` of the page before, from which another process may continue; default: the first page.
   * `limit`: most rows; minimum 1
   */
  listPage?(page: { readonly after?: string; readonly limit: number }): Promise<ConnectionPage>;
}

/** A page of all connections. */
export interface ConnectionPage {
  /** At most `limit` rows, possibly none before the last page. */
  readonly connections: readonly Connection[];
  /** Continues the list; absent on the last page. */
  readonly next?: string;
}
