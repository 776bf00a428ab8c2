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

  /** @param options `removed`: also what a `delete` with `keep` has removed */
  get(
    id: string,
    budget?: TimeBudget,
    options?: { readonly removed?: boolean },
  ): Promise<Connection | undefined>;

  /**
   * `get` without the wait, where rows are in this process's memory. Optional: a promise costs a message event
   * more than the look-up itself, and so does asking for the time.
   * @param now ms since the epoch, as the event tells it
   */
  peek?(id: string, now: number): Connection | undefined;

  /**
   * Removes the row, and for 15 minutes (the longest that a Lambda runs) refuses to save it again.
   * @param options `keep`: what the row held is kept so long, but not past its expiry, for whoever asks for what is
   * removed: a `$disconnect` that is still to come. It is in no list and no count.
   */
  delete(id: string, budget?: TimeBudget, options?: { readonly keep?: boolean }): Promise<void>;

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

/** Something that must happen later. */
export interface ScheduledItem {
  /** What is to be done. With the id it is the item's key. */
  readonly kind: string;
  /** To what. */
  readonly id: string;
  /** ms since the epoch, 0 or more; a fraction is rounded up. */
  readonly dueAt: number;
  /** What whoever does it has to know. Keep it small: with its key an item is under 1 KB, or costs more. */
  readonly data: JsonObject;
  /** How often its action has failed since it was put. Absent: never. */
  readonly failures?: number;
}

/** The key of an item, and the time at which it was read. */
export type ScheduledItemVersion = Pick<ScheduledItem, "kind" | "id" | "dueAt">;

/** A failure of an item's action. */
export interface ItemFailure {
  /** How often the action has failed by now, this time included. */
  readonly failures: number;
  /** The error, in a line. */
  readonly cause: string;
  /** When the next attempt is due, in ms since the epoch. Absent: none is, and the item becomes a dead letter. */
  readonly dueAt?: number;
  /** When the action failed, in ms since the epoch. */
  readonly at: number;
}

/** An item whose action has failed for the last time. Its `dueAt` is that of the last attempt. */
export interface DeadLetter extends ScheduledItem {
  readonly failures: number;
  readonly cause: string;
}

/**
 * What must happen later, where nobody waits for it: whoever ticks takes what is due, acts, and deletes it.
 *
 * - Taking changes nothing: until it is deleted an item is due again each time, to everyone who asks. So it is not
 *   lost when who acts on it dies, and an action must do no harm when it is done twice, or twice at once.
 * - What is due may be told late by seconds, and may be told once more just after it was moved or deleted.
 * - `get` sees every `put`, `fail` and `delete` that was acknowledged before it.
 * - Every call may come twice; the second changes nothing.
 * - An item that nobody could act on is dropped, a week after it was due at the earliest. A failure does not put that
 *   off. A dead letter is dropped a week after its last failure.
 */
export interface Schedule {
  /** Adds an item, or replaces the one that has its kind and id, a dead letter too. Rejects when its `dueAt` is no time. */
  put(item: ScheduledItem, budget?: TimeBudget): Promise<void>;

  /** What is due at `now`, in ms since the epoch; the oldest of a part of the schedule first. Pages to the end. */
  listDue(now: number): AsyncIterable<ScheduledItem>;

  /** The item as it is now. `undefined`: there is none, or it is a dead letter. */
  get(item: Pick<ScheduledItem, "kind" | "id">, budget?: TimeBudget): Promise<ScheduledItem | undefined>;

  /** Keeps a failure with its item, and moves the item, unless it has been moved to another time since it was read. */
  recordFailure(item: ScheduledItemVersion, failure: ItemFailure, budget?: TimeBudget): Promise<void>;

  /** Every dead letter. `put` makes one due again, `delete` removes it. Pages to the end. */
  listDeadLetters(): AsyncIterable<DeadLetter>;

  /** Every item that is not a dead letter, due or not, where they are in this process's memory. Optional. */
  listAll?(): Iterable<ScheduledItem>;

  /** Removes an item, unless it has been moved to another time since it was read. */
  delete(item: ScheduledItemVersion, budget?: TimeBudget): Promise<void>;
}

/**
 * Where one-time tickets are kept, each under a hash of it: who reads the store can use none.
 *
 * - Of however many that take a ticket at once, one gets what it stands for.
 * - A call of `take` that is repeated because its answer was lost may get nothing: a ticket is used up at worst,
 *   never used twice.
 */
export interface TicketStore {
  /** @param expiresAt ms since the epoch: from then on it is no good */
  save(hash: string, content: JsonObject, expiresAt: number, budget?: TimeBudget): Promise<void>;

  /** What it stands for, once. `undefined`: there is no such ticket, it was taken, or at `now` its time is over. */
  take(hash: string, now: number, budget?: TimeBudget): Promise<JsonObject | undefined>;
}

/** What has to be sent, and where to, to put a blob: an HTTP PUT. */
export interface BlobUpload {
  readonly url: string;
  /** Those that it must have. */
  readonly headers: { readonly [name: string]: string };
}

/**
 * Where what is too large for a message is kept. A blob is named by a key of at most 200 letters, digits, `-`, `_` and
 * `/`: whoever calls has put its scope into it, and no key that cannot be guessed is used twice.
 *
 * - Whoever has an upload may put that blob, of exactly so many bytes, until its time is over, and do nothing else.
 * - Whoever has a download's URL may read that blob until its time is over.
 */
export interface BlobStore {
  /** @param expiresInMs 1,000 or more */
  createUpload(
    key: string,
    blob: { readonly bytes: number; readonly contentType: string },
    expiresInMs: number,
  ): Promise<BlobUpload>;

  /** Resolves to a URL, whether there is such a blob or not. */
  createDownloadUrl(key: string, expiresInMs: number): Promise<string>;
}
