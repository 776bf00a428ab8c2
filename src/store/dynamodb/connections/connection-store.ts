import type { Put } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import type { Connection, ConnectionStore } from "../../contracts/connections.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json } from "../../contracts/json.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import type { StoreOptions } from "../options.ts";
import { CONNECTION_ATTRIBUTES, type IndexDefinition, TENANT_INDEX, USER_INDEX } from "../tables.ts";
import { ConnectionCount, removeCounted } from "./count.ts";
import { itemsBy } from "./reads.ts";
import { indexKey, itemOf, keyOf, liveConnection, removedRow, tombstoneOf } from "./rows.ts";
import {
  conditionalUpdate,
  createWriteId,
  KEYS_PER_UPDATE,
  readStoredValue,
  stateUpdate,
  wasApplied,
} from "./state.ts";

const HOUR_MS = 60 * 60 * 1000;

/** The longest that a Lambda runs, and what two machines' clocks may differ by. */
const TOMBSTONE_MS = 15 * 60 * 1000 + 5 * 60 * 1000;

/** Those who change one key at once wait for each other no longer than this at a time, in ms. */
const CONTENTION_PAUSE_MS = 100;

/**
 * Connections in DynamoDB. A call that DynamoDB throttles or does not answer is repeated until `timeoutMs`, or
 * its caller's budget, is over; each may be sent twice without harm.
 */
export class DynamoDBConnectionStore implements ConnectionStore {
  readonly #client: RetryingClient;
  readonly #count: ConnectionCount | undefined;
  readonly #ttlMs: number;
  readonly #now: () => number;

  constructor(client: RetryingClient, { maxConnections, ttlHours = 0, now = Date.now }: StoreOptions) {
    this.#client = client;
    this.#count = maxConnections === undefined ? undefined : new ConnectionCount(client, maxConnections);
    this.#ttlMs = ttlHours * HOUR_MS;
    this.#now = now;
  }

  async save(connection: Connection, budget?: TimeBudget): Promise<boolean> {
    const now = this.#now();
    const { id, connectedAt, expiresAt } = connection;
    if (expiresAt <= now) return true;
    const item = itemOf(connection, Math.max(expiresAt, connectedAt + this.#ttlMs));
    const put = this.#put(item, "attribute_not_exists(#id) OR #liveUntil <= :now", now);
    const retry = this.#client.startRetry(budget);
    const standing = await (this.#count === undefined
      ? this.#write(retry, put)
      : this.#count.add(retry, { id, liveUntil: expiresAt, put }, now));
    return standing === undefined || standing[CONNECTION_ATTRIBUTES.kind] === undefined;
  }

  async get(
    id: string,
    budget?: TimeBudget,
    { removed = false }: { readonly removed?: boolean } = {},
  ): Promise<Connection | undefined> {
    const item = await this.#item(this.#client.startRetry(budget), id);
    return liveConnection((removed ? removedRow(item) : undefined) ?? item, this.#now());
  }

  async delete(
    id: string,
    budget?: TimeBudget,
    { keep = false }: { readonly keep?: boolean } = {},
  ): Promise<void> {
    const now = this.#now();
    const retry = this.#client.startRetry(budget);
    const removable = "(attribute_not_exists(#kind) OR #liveUntil <= :now)";
    // Where rows are counted a look costs less than the write that would fail.
    let standing = this.#count === undefined && !keep ? undefined : await this.#item(retry, id);
    const kept = keep && liveConnection(standing, now) !== undefined ? standing : undefined;
    const tombstone = tombstoneOf(id, now + TOMBSTONE_MS, kept);
    if (!isCounted(standing)) {
      const uncounted = `${removable} AND attribute_not_exists(#countShard)`;
      standing = await this.#write(retry, this.#put(tombstone, uncounted, now));
    }
    if (!isCounted(standing)) return;
    if ((await removeCounted(this.#client, retry, standing, tombstone)) === "removed") return;
    await this.#write(retry, this.#put(tombstone, removable, now));
  }

  async setState(
    id: string,
    entries: { readonly [key: string]: Json | undefined },
    budget?: TimeBudget,
  ): Promise<boolean> {
    const all = Object.entries(entries);
    if (all.length === 0) return (await this.get(id, budget)) !== undefined;
    const retry = this.#client.startRetry(budget);
    for (let from = 0; from < all.length; from += KEYS_PER_UPDATE) {
      const now = this.#now();
      const standing = await this.#update(
        retry,
        id,
        stateUpdate(all.slice(from, from + KEYS_PER_UPDATE), now),
      );
      if (standing === undefined) continue;
      liveConnection(standing, now);
      return false;
    }
    return true;
  }

  async updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ): Promise<Json | undefined> {
    const retry = this.#client.startRetry(budget);
    let item = await this.#item(retry, id);
    for (;;) {
      const now = this.#now();
      const connection = liveConnection(item, now);
      if (item === undefined || connection === undefined) return undefined;
      const held = readStoredValue(item, key);
      const next = change(held.text === undefined ? undefined : (JSON.parse(held.text) as Json));
      const mark = createWriteId();
      item = await this.#update(retry, id, conditionalUpdate(key, held, next, mark, now));
      if (item === undefined || wasApplied(mark, readStoredValue(item, key))) return next;
      if (!(await retry.pause(CONTENTION_PAUSE_MS))) {
        throw new StoreError("STORE_UNAVAILABLE", "A key of the state kept changing while it was updated");
      }
    }
  }

  listByUser(userId: string): AsyncIterable<Connection> {
    return this.#list(USER_INDEX, userId, (connection) => connection.userId);
  }

  listByTenant(tenantId: string): AsyncIterable<Connection> {
    return this.#list(TENANT_INDEX, tenantId, (connection) => connection.tenantId);
  }

  async count(): Promise<number> {
    let live = 0;
    let start: Item | undefined;
    do {
      const page = await this.#client.call(this.#client.startRetry(), "Scan", {
        TableName: this.#client.tableName,
        Select: "COUNT",
        FilterExpression: "attribute_not_exists(#kind) AND #liveUntil > :now",
        ExpressionAttributeNames: {
          "#kind": CONNECTION_ATTRIBUTES.kind,
          "#liveUntil": CONNECTION_ATTRIBUTES.liveUntil,
        },
        ExpressionAttributeValues: { ":now": { N: String(this.#now()) } },
        ExclusiveStartKey: start,
      });
      live += page.Count ?? 0;
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
    return live;
  }

  /** An index may lag behind its rows, so each is asked whose it is. */
  async *#list(
    index: IndexDefinition,
    owner: string,
    ownerOf: (connection: Connection) => string | undefined,
  ): AsyncGenerator<Connection> {
    // An index has no empty keys, and DynamoDB takes no question for one.
    if (owner === "") return;
    for await (const item of itemsBy(this.#client, index, indexKey(owner))) {
      const connection = liveConnection(item, this.#now());
      if (connection !== undefined && ownerOf(connection) === owner) yield connection;
    }
  }

  async #item(retry: Retry, id: string): Promise<Item | undefined> {
    const input = { TableName: this.#client.tableName, Key: keyOf(id), ConsistentRead: true };
    return (await this.#client.call(retry, "GetItem", input)).Item;
  }

  #put(item: Item, condition: string, now: number): Put & { Item: Item } {
    const names = {
      "#id": CONNECTION_ATTRIBUTES.id,
      "#kind": CONNECTION_ATTRIBUTES.kind,
      "#liveUntil": CONNECTION_ATTRIBUTES.liveUntil,
      "#countShard": CONNECTION_ATTRIBUTES.countShard,
    };
    const used = Object.entries(names).filter(([name]) => condition.includes(name));
    return {
      TableName: this.#client.tableName,
      Item: item,
      ConditionExpression: condition,
      ExpressionAttributeNames: Object.fromEntries(used),
      ExpressionAttributeValues: { ":now": { N: String(now) } },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    };
  }

  /** Resolves to the item that stood in its condition's way. */
  #write(retry: Retry, put: Put): Promise<Item | undefined> {
    return unlessCondition(this.#client.call(retry, "PutItem", put));
  }

  /** Resolves to the item whose state was not updated, as it is. */
  #update(retry: Retry, id: string, update: object): Promise<Item | undefined> {
    return unlessCondition(
      this.#client.call(retry, "UpdateItem", {
        TableName: this.#client.tableName,
        Key: keyOf(id),
        ...update,
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    );
  }
}

async function unlessCondition(call: Promise<unknown>): Promise<Item | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const standing = getConditionFailure(error);
    if (standing === undefined) throw error;
    return standing;
  }
}

function isCounted(item: Item | undefined): item is Item {
  return item?.[CONNECTION_ATTRIBUTES.countShard] !== undefined;
}
