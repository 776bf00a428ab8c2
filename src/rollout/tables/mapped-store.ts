import { randomUUID } from "node:crypto";
import type { AwsTarget } from "../../aws/index.ts";
import {
  anyFunction,
  integer,
  type OptionChecks,
  record,
  text,
  withMethods,
} from "../../internal/options.ts";
import {
  type Connection,
  type ConnectionPage,
  type ConnectionStore,
  type Json,
  StoreError,
  type TimeBudget,
} from "../../store/index.ts";
import { DynamoDB, type Item } from "../dynamodb.ts";
import { checkOptions } from "../errors.ts";
import { MappedRows } from "./mapped-rows.ts";
import {
  itemOf,
  type MappedIndex,
  OWN,
  type StoredState,
  storedStateOf,
  type TableMapping,
} from "./mapping.ts";

/** Options of `mappedConnectionStore`. */
export interface MappedConnectionStoreOptions extends AwsTarget {
  /** Name of the table. */
  readonly tableName: string;
  /** Description of the table's items. */
  readonly mapping: TableMapping;
  /** Time limit of a call in ms, retries included. Default 10,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const OPTIONS: OptionChecks<MappedConnectionStoreOptions> = {
  tableName: text,
  mapping: withMethods("key", "toItem", "fromItem"),
  endpoint: text,
  region: text,
  credentials: {
    test: (value) => Object(value) === value,
    expected: "credentials or a function that returns them",
  },
  timeoutMs: integer(1),
  now: anyFunction,
};

const INDEX: OptionChecks<MappedIndex> = { name: text, partitionKey: text };

/** Lambda's maximum of 15 minutes plus 5 minutes of clock skew. */
const TOMBSTONE_MS = 20 * 60 * 1000;
/** No connection has such an id: it contains characters that the service does not use. */
const TOMBSTONE_PREFIX = "lift:deleted#";

/** Write ids that a row remembers: as many writes may overlap a retried one. */
const REMEMBERED_WRITES = 8;
/** Longest pause between two attempts while others change the same row, in ms. */
const CONTENTION_PAUSE_MS = 100;

/**
 * Creates a connection store on a DynamoDB table that other code owns and reads too. The store adds attributes to its items,
 * and items of its own for deleted connections; both have names that begin with `Lift` or `lift:`. It needs no AWS SDK.
 * @throws {RolloutError} INVALID_OPTION here. Its methods throw a StoreError: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 * @example
 * const oldStore = mappedConnectionStore({ tableName: "streamer-connections", mapping: STREAMER_CONNECTIONS });
 */
export function mappedConnectionStore(options: MappedConnectionStoreOptions): ConnectionStore {
  checkOptions(options, OPTIONS, ["tableName", "mapping"]);
  const { userIndex, tenantIndex } = options.mapping;
  checkOptions({ userIndex, tenantIndex }, { userIndex: record, tenantIndex: record });
  for (const index of [userIndex, tenantIndex]) {
    if (index !== undefined) checkOptions(index, INDEX, ["name", "partitionKey"]);
  }
  return new MappedConnectionStore(options);
}

class MappedConnectionStore implements ConnectionStore {
  readonly #db: DynamoDB;
  readonly #table: { readonly TableName: string };
  readonly #mapping: TableMapping;
  readonly #rows: MappedRows;
  readonly #now: () => number;

  constructor({
    tableName,
    mapping,
    timeoutMs = 10_000,
    now = Date.now,
    ...target
  }: MappedConnectionStoreOptions) {
    this.#db = new DynamoDB(target, timeoutMs);
    this.#table = { TableName: tableName };
    this.#mapping = mapping;
    this.#rows = new MappedRows(this.#db, tableName, mapping, now);
    this.#now = now;
  }

  async save(connection: Connection, budget?: TimeBudget): Promise<boolean> {
    const now = this.#now();
    if (connection.expiresAt <= now) return true;
    const check = {
      ...this.#table,
      Key: this.#tombstoneKey(connection.id),
      ...condition("attribute_not_exists(#until) OR #until <= :now", now),
    };
    const key = this.#mapping.key(connection.id);
    const put = {
      ...this.#table,
      Item: itemOf(this.#mapping, connection),
      ConditionExpression: "attribute_not_exists(#key)",
      ExpressionAttributeNames: { "#key": Object.keys(key)[0] },
    };
    const writes = [{ ConditionCheck: check }, { Put: put }];
    const output = await this.#db.call(this.#db.startRetry(budget), "TransactWriteItems", {
      TransactItems: writes,
    });
    return !("failed" in output && output.failed.includes(0));
  }

  async get(
    id: string,
    budget?: TimeBudget,
    { removed = false }: { readonly removed?: boolean } = {},
  ): Promise<Connection | undefined> {
    const retry = this.#db.startRetry(budget);
    const found = this.#rows.live(await this.#rows.read(retry, this.#mapping.key(id)));
    if (found !== undefined || !removed) return found;
    const tombstone = await this.#rows.read(retry, this.#tombstoneKey(id));
    const now = this.#now();
    if (Number(tombstone?.[OWN.until]?.N ?? 0) <= now) return undefined;
    const text = tombstone?.[OWN.removed]?.S;
    const kept = text === undefined ? undefined : (JSON.parse(text) as Connection);
    return kept !== undefined && kept.expiresAt > now ? kept : undefined;
  }

  async delete(
    id: string,
    budget?: TimeBudget,
    { keep = false }: { readonly keep?: boolean } = {},
  ): Promise<void> {
    const retry = this.#db.startRetry(budget);
    const key = this.#mapping.key(id);
    const kept = keep ? this.#rows.live(await this.#rows.read(retry, key)) : undefined;
    const now = this.#now();
    const until = now + TOMBSTONE_MS;
    const { timeToLive } = this.#mapping;
    const tombstone = {
      ...this.#tombstoneKey(id),
      [OWN.until]: { N: String(until) },
      ...(kept === undefined ? {} : { [OWN.removed]: { S: JSON.stringify(kept) } }),
      ...(timeToLive === undefined ? {} : { [timeToLive]: { N: String(Math.ceil(until / 1000)) } }),
    };
    const put = {
      ...this.#table,
      Item: tombstone,
      ...condition("attribute_not_exists(#until) OR #until <= :now", now),
    };
    const writes = [{ Delete: { ...this.#table, Key: key } }, { Put: put }];
    const output = await this.#db.call(retry, "TransactWriteItems", { TransactItems: writes });
    if ("failed" in output) await this.#db.call(retry, "DeleteItem", { ...this.#table, Key: key });
  }

  async setState(
    id: string,
    entries: { readonly [key: string]: Json | undefined },
    budget?: TimeBudget,
  ): Promise<boolean> {
    const changed = await this.#changeState(id, budget, (state) => {
      for (const [key, value] of Object.entries(entries)) setOrDelete(state, key, value);
    });
    return changed !== undefined;
  }

  async updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ): Promise<Json | undefined> {
    const changed = await this.#changeState(id, budget, (state) => {
      setOrDelete(state, key, change(state.get(key)));
    });
    return changed?.get(key);
  }

  listByUser(userId: string): AsyncIterable<Connection> {
    return this.#rows.listByOwner(this.#mapping.userIndex, userId, (connection) => connection.userId);
  }

  listByTenant(tenantId: string): AsyncIterable<Connection> {
    return this.#rows.listByOwner(this.#mapping.tenantIndex, tenantId, (connection) => connection.tenantId);
  }

  async count(): Promise<number> {
    let count = 0;
    for await (const _ of this.#rows.scan()) count++;
    return count;
  }

  listPage(page: { readonly after?: string; readonly limit: number }): Promise<ConnectionPage> {
    return this.#rows.listPage(page);
  }

  /** Changes the state by a condition on its last version. Resolves to `undefined` when there is no row. */
  async #changeState(
    id: string,
    budget: TimeBudget | undefined,
    change: (state: Map<string, Json>) => void,
  ): Promise<ReadonlyMap<string, Json> | undefined> {
    const retry = this.#db.startRetry(budget);
    const write = randomUUID().slice(0, 8);
    let attempt: ReadonlyMap<string, Json> | undefined;
    for (;;) {
      const item = await this.#rows.read(retry, this.#mapping.key(id));
      const row = this.#rows.live(item);
      if (item === undefined || row === undefined) return undefined;
      const stored = storedStateOf(id, item);
      if (attempt !== undefined && stored?.writes.includes(write)) return attempt;
      const state = new Map(Object.entries(row.state));
      change(state);
      attempt = state;
      const writes = [...(stored?.writes ?? []), write].slice(-REMEMBERED_WRITES);
      const next: StoredState = { writes, state: Object.fromEntries(state) };
      if (!("failed" in (await this.#db.call(retry, "UpdateItem", this.#stateUpdate(id, item, next)))))
        return state;
      if (!(await retry.pause(CONTENTION_PAUSE_MS))) {
        throw new StoreError(
          "STORE_UNAVAILABLE",
          "State update timed out: other calls kept changing the row",
        );
      }
    }
  }

  #stateUpdate(id: string, item: Item, next: StoredState): object {
    const key = this.#mapping.key(id);
    const last = item[OWN.state];
    const unchanged = last === undefined ? "attribute_not_exists(#state)" : "#state = :last";
    return {
      ...this.#table,
      Key: key,
      UpdateExpression: "SET #state = :next",
      ConditionExpression: `attribute_exists(#key) AND ${unchanged}`,
      ExpressionAttributeNames: { "#key": Object.keys(key)[0], "#state": OWN.state },
      ExpressionAttributeValues: {
        ":next": { S: JSON.stringify(next) },
        ...(last === undefined ? {} : { ":last": last }),
      },
    };
  }

  #tombstoneKey(id: string): Item {
    return this.#mapping.key(`${TOMBSTONE_PREFIX}${id}`);
  }
}

function condition(expression: string, now: number): object {
  return {
    ConditionExpression: expression,
    ExpressionAttributeNames: { "#until": OWN.until },
    ExpressionAttributeValues: { ":now": { N: String(now) } },
  };
}

function setOrDelete(state: Map<string, Json>, key: string, value: Json | undefined): void {
  if (value === undefined) state.delete(key);
  else state.set(key, value);
}
