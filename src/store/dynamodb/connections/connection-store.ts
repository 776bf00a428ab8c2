import type { Put } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import type { Connection, ConnectionPage, ConnectionStore } from "../../contracts/connections.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json } from "../../contracts/json.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import type { StoreOptions } from "../options.ts";
import { CONNECTION_ATTRIBUTES, type IndexDefinition, TENANT_INDEX, USER_INDEX } from "../tables.ts";
import { ConnectionCount, removeCounted } from "./count.ts";
import { listItemsByOwner } from "./reads.ts";
import {
  connectionItem,
  connectionKey,
  getRemovedRow,
  indexKey,
  parseLiveConnection,
  tombstoneItem,
} from "./rows.ts";
import {
  createConditionalUpdate,
  createStateUpdate,
  createWriteId,
  KEYS_PER_UPDATE,
  readStoredValue,
  wasApplied,
} from "./state.ts";

const HOUR_MS = 60 * 60 * 1000;

/** Lambda's maximum of 15 minutes plus 5 minutes of clock skew. */
const TOMBSTONE_MS = 15 * 60 * 1000 + 5 * 60 * 1000;

/** Longest pause between two attempts while others change the same state key, in ms. */
const CONTENTION_PAUSE_MS = 100;

/**
 * Connections in DynamoDB. Calls are retried with backoff while throttled or unanswered, until `timeoutMs` or the
 * caller's budget is over. Every call may safely be sent twice.
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
    const item = connectionItem(connection, Math.max(expiresAt, connectedAt + this.#ttlMs));
    const put = this.#put(item, "attribute_not_exists(#id) OR #liveUntil <= :now", now);
    const retry = this.#client.startRetry(budget);
    const existing = await (this.#count === undefined
      ? this.#write(retry, put)
      : this.#count.add(retry, { id, liveUntil: expiresAt, put }, now));
    return existing === undefined || existing[CONNECTION_ATTRIBUTES.kind] === undefined;
  }

  async get(
    id: string,
    budget?: TimeBudget,
    { removed = false }: { readonly removed?: boolean } = {},
  ): Promise<Connection | undefined> {
    const item = await this.#item(this.#client.startRetry(budget), id);
    return parseLiveConnection((removed ? getRemovedRow(item) : undefined) ?? item, this.#now());
  }

  async delete(
    id: string,
    budget?: TimeBudget,
    { keep = false }: { readonly keep?: boolean } = {},
  ): Promise<void> {
    const now = this.#now();
    const retry = this.#client.startRetry(budget);
    const removable = "(attribute_not_exists(#kind) OR #liveUntil <= :now)";
    // With counted rows, a read costs less than a write that fails.
    let existing = this.#count === undefined && !keep ? undefined : await this.#item(retry, id);
    const keptRow = keep && parseLiveConnection(existing, now) !== undefined ? existing : undefined;
    const tombstone = tombstoneItem(id, now + TOMBSTONE_MS, keptRow);
    if (!isCounted(existing)) {
      const uncounted = `${removable} AND attribute_not_exists(#countShard)`;
      existing = await this.#write(retry, this.#put(tombstone, uncounted, now));
    }
    if (!isCounted(existing)) return;
    if ((await removeCounted(this.#client, retry, existing, tombstone)) === "removed") return;
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
      const existing = await this.#update(
        retry,
        id,
        createStateUpdate(all.slice(from, from + KEYS_PER_UPDATE), now),
      );
      if (existing === undefined) continue;
      parseLiveConnection(existing, now);
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
      const connection = parseLiveConnection(item, now);
      if (item === undefined || connection === undefined) return undefined;
      const stored = readStoredValue(item, key);
      const next = change(stored.text === undefined ? undefined : (JSON.parse(stored.text) as Json));
      const writeId = createWriteId();
      item = await this.#update(retry, id, createConditionalUpdate(key, stored, next, writeId, now));
      if (item === undefined || wasApplied(writeId, readStoredValue(item, key))) return next;
      if (!(await retry.pause(CONTENTION_PAUSE_MS))) {
        throw new StoreError(
          "STORE_UNAVAILABLE",
          "State update timed out: other calls kept changing the same key",
        );
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

  async listPage({ after, limit }: { after?: string; limit: number }): Promise<ConnectionPage> {
    const page = await this.#client.call(this.#client.startRetry(), "Scan", {
      TableName: this.#client.tableName,
      Limit: limit,
      ConsistentRead: true,
      ExclusiveStartKey: after === undefined ? undefined : connectionKey(after),
    });
    const connections = (page.Items ?? []).flatMap((item) => parseLiveConnection(item, this.#now()) ?? []);
    const next = page.LastEvaluatedKey?.[CONNECTION_ATTRIBUTES.id]?.S;
    return { connections, ...(next === undefined ? {} : { next }) };
  }

  /** Lists by an index. Checks each row's owner, because the index lags behind the rows. */
  async *#list(
    index: IndexDefinition,
    owner: string,
    ownerOf: (connection: Connection) => string | undefined,
  ): AsyncGenerator<Connection> {
    // Indexes have no empty keys, and DynamoDB rejects a query for one.
    if (owner === "") return;
    for await (const item of listItemsByOwner(this.#client, index, indexKey(owner))) {
      const connection = parseLiveConnection(item, this.#now());
      if (connection !== undefined && ownerOf(connection) === owner) yield connection;
    }
  }

  async #item(retry: Retry, id: string): Promise<Item | undefined> {
    const input = { TableName: this.#client.tableName, Key: connectionKey(id), ConsistentRead: true };
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

  /** Resolves to the item that made the condition fail. */
  #write(retry: Retry, put: Put): Promise<Item | undefined> {
    return resolveConditionFailure(this.#client.call(retry, "PutItem", put));
  }

  /** Resolves to the current item if its state was not updated. */
  #update(retry: Retry, id: string, update: object): Promise<Item | undefined> {
    return resolveConditionFailure(
      this.#client.call(retry, "UpdateItem", {
        TableName: this.#client.tableName,
        Key: connectionKey(id),
        ...update,
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    );
  }
}

async function resolveConditionFailure(call: Promise<unknown>): Promise<Item | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const existing = getConditionFailure(error);
    if (existing === undefined) throw error;
    return existing;
  }
}

function isCounted(item: Item | undefined): item is Item {
  return item?.[CONNECTION_ATTRIBUTES.countShard] !== undefined;
}
