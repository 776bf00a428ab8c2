/** What a store can hold: JSON, and nothing that JSON would change. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export type JsonObject = { readonly [key: string]: Json };

/** A connection's row, as it was when read. Later writes do not change it. */
export interface Connection {
  readonly id: string;
  /** Absent for an anonymous connection. */
  readonly userId?: string;
  /** Absent means a scope of its own: it is in no tenant's list. */
  readonly tenantId?: string;
  /** Set once, on `$connect`. */
  readonly metadata: JsonObject;
  /** What `ctx.set` keeps; each key is written on its own. */
  readonly state: JsonObject;
  readonly sourceIp: string;
  readonly userAgent?: string;
  /** The @connections endpoint it is reached by: `https://{domainName}/{stage}`. */
  readonly endpoint: string;
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** ms since the epoch. Past it the row is not read any more, removed or not. */
  readonly expiresAt: number;
}

/** How long whoever calls can wait. A Lambda's context is one. */
export interface TimeBudget {
  /** ms until there is nobody left to answer to. */
  getRemainingTimeInMillis(): number;
}

/**
 * Where connections are kept.
 *
 * - Every call may come twice; the second changes nothing.
 * - A row past `expiresAt` is never returned, listed or counted.
 * - Two writes to different keys of one connection's state never lose each other.
 * - A store that retries stops in time to reject before the caller's budget is over.
 * - `get` sees every write that was acknowledged before it; lists may lag by seconds (indexes do).
 */
export interface ConnectionStore {
  /**
   * Adds a row. `false` and no row when `delete` has come first: a save that arrives late does not bring a
   * connection back. Saving the same connection again keeps the state that has been written since.
   * @throws {StoreError} TOO_MANY_CONNECTIONS and no row, where the store has a limit and it is reached
   */
  save(connection: Connection, budget?: TimeBudget): Promise<boolean>;

  get(id: string, budget?: TimeBudget): Promise<Connection | undefined>;

  /**
   * `get` without the wait, where rows are in this process's memory. Optional: a promise costs a message event
   * more than the look-up itself, and so does asking for the time.
   * @param now ms since the epoch, as the event tells it
   */
  peek?(id: string, now: number): Connection | undefined;

  /** Removes the row, and for 15 minutes (the longest that a Lambda runs) refuses to save it again. */
  delete(id: string, budget?: TimeBudget): Promise<void>;

  /** Writes some keys of a connection's state; `undefined` removes one. `false` when there is no row. */
  setState(
    id: string,
    entries: { readonly [key: string]: Json | undefined },
    budget?: TimeBudget,
  ): Promise<boolean>;

  /**
   * Changes one key by what it holds now, atomically: `change` may run again when another write came between,
   * so it must have no effects of its own. Resolves to what was written, or to `undefined` when there is no row
   * (then nothing is written) or `change` returned `undefined` (then the key is removed).
   */
  updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ): Promise<Json | undefined>;

  listByUser(userId: string): AsyncIterable<Connection>;

  listByTenant(tenantId: string): AsyncIterable<Connection>;

  /** Live connections. */
  count(): Promise<number>;
}
