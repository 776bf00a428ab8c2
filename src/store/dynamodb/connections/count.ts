import type { Put, Update } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { shardOf } from "../client/shards.ts";
import { transact } from "../client/transact.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";
import { batchGetItems } from "./reads.ts";
import { connectionKey, type ItemKind } from "./rows.ts";

/** 64 shards rather than 16, so that chance does not put a sixteenth of all writes on one shard. */
const SHARDS = 64;

/**
 * A shard counts connections by their expiry, in spans of this length in ms. An expired span is dropped as a whole,
 * with all connections that were never deleted.
 */
const SPAN_MS = 10 * 60 * 1000;

/** Maximum spans that one update drops: DynamoDB limits an expression to 4 KB. */
const SPANS_PER_UPDATE = 100;

const TOTAL = "Total";
/** The last span that has been dropped from the total. */
const LAST_DROPPED = "Settled";
const SPAN_PREFIX = "Span";

/** A row to write and count. */
export interface CountedRow {
  readonly id: string;
  /** ms since the epoch. */
  readonly liveUntil: number;
  /** Writes the row. Its condition decides whether there is anything to count. */
  readonly put: Put & { readonly Item: Item };
}

type AddResult = { readonly existing: Item | undefined } | "full";

/**
 * The number of connections, in shards, each with a share of the limit. A row and its shard change in one
 * transaction, so neither a crash nor a repeated call makes them disagree.
 */
export class ConnectionCount {
  readonly #client: RetryingClient;
  readonly #limit: number;

  constructor(client: RetryingClient, limit: number) {
    this.#client = client;
    this.#limit = limit;
  }

  /**
   * Writes the row and counts it. If the row's condition fails, resolves to the item that made it fail.
   * @throws {StoreError} TOO_MANY_CONNECTIONS
   */
  async add(retry: Retry, counted: CountedRow, now: number): Promise<Item | undefined> {
    const ownShard = shardOf(counted.id, Math.min(SHARDS, this.#limit));
    const added = await this.#addTo(ownShard, retry, counted, now);
    if (added !== "full") return added.existing;
    for (const shard of await this.#shardsBelowLimit(retry, now)) {
      const retried = await this.#addTo(shard, retry, counted, now);
      if (retried !== "full") return retried.existing;
    }
    throw new StoreError(
      "TOO_MANY_CONNECTIONS",
      `Table ${this.#client.tableName} has reached its limit of ${this.#limit} connections; raise \`maxConnections\` or close some`,
    );
  }

  async #addTo(shard: number, retry: Retry, counted: CountedRow, now: number): Promise<AddResult> {
    const lastExpired = lastExpiredSpan(now);
    const row = { ...counted.put.Item, [CONNECTION_ATTRIBUTES.countShard]: { N: String(shard) } };
    const shardMax = shardLimit(shard, this.#limit);
    const update = {
      TableName: this.#client.tableName,
      ...increment(shard, counted.liveUntil, lastExpired, shardMax),
    };
    for (;;) {
      const failures = await transact(this.#client, retry, [
        { Put: { ...counted.put, Item: row } },
        { Update: update },
      ]);
      if (failures === undefined) return { existing: undefined };
      const [existing, shardItem] = failures;
      if (existing !== undefined) return { existing };
      if (shardItem === undefined || readNumber(shardItem, LAST_DROPPED) >= lastExpired) return "full";
      await this.#dropExpired(shard, retry, shardItem, lastExpired);
    }
  }

  /** Subtracts expired spans from the total, unless the shard has changed since the read. */
  async #dropExpired(shard: number, retry: Retry, shardItem: Item, lastExpired: number): Promise<void> {
    const update = { TableName: this.#client.tableName, ...dropExpiredUpdate(shard, shardItem, lastExpired) };
    try {
      await this.#client.call(retry, "UpdateItem", update);
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
      if (!(await retry.pause())) throw createTimeoutError(this.#client);
    }
  }

  /** Returns shards below their limit in random order, so that concurrent calls do not all pick the same one. */
  async #shardsBelowLimit(retry: Retry, now: number): Promise<number[]> {
    const ids = Array.from({ length: SHARDS }, (_, shard) => shardId(shard));
    const items = await batchGetItems(this.#client, retry, ids, { consistent: true });
    const lastExpired = lastExpiredSpan(now);
    return ids
      .map((id, shard) => ({
        shard,
        room: shardLimit(shard, this.#limit) - countOpen(items.get(id) ?? {}, lastExpired),
      }))
      .filter(({ room }) => room > 0)
      .map(({ shard }) => ({ shard, order: Math.random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ shard }) => shard);
  }
}

/**
 * Replaces a counted row and subtracts it from the count. Resolves to `uncounted`, and writes nothing, if the count
 * has already dropped the row's span.
 */
export async function removeCounted(
  client: RetryingClient,
  retry: Retry,
  row: Item,
  replacement: Item,
): Promise<"removed" | "uncounted"> {
  const shard = row[CONNECTION_ATTRIBUTES.countShard] ?? { N: "" };
  const put: Put = {
    TableName: client.tableName,
    Item: replacement,
    ConditionExpression: "#countShard = :shard",
    ExpressionAttributeNames: { "#countShard": CONNECTION_ATTRIBUTES.countShard },
    ExpressionAttributeValues: { ":shard": shard },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
  const update = {
    TableName: client.tableName,
    ...decrement(Number(shard.N), readNumber(row, CONNECTION_ATTRIBUTES.liveUntil)),
  };
  const failures = await transact(client, retry, [{ Put: put }, { Update: update }]);
  // If the row's own condition failed, another call has already removed and counted it.
  return failures !== undefined && failures[0] === undefined ? "uncounted" : "removed";
}

type ShardUpdate = Omit<Update, "TableName" | "UpdateExpression"> & { UpdateExpression: string };

function increment(shard: number, liveUntil: number, lastExpired: number, shardMax: number): ShardUpdate {
  return {
    Key: connectionKey(shardId(shard)),
    UpdateExpression:
      "SET #kind = :kind, #lastDropped = if_not_exists(#lastDropped, :lastExpired) ADD #total :one, #span :one",
    ConditionExpression:
      "attribute_not_exists(#total) OR (#lastDropped >= :lastExpired AND #total < :shardMax)",
    ExpressionAttributeNames: {
      "#kind": CONNECTION_ATTRIBUTES.kind,
      "#lastDropped": LAST_DROPPED,
      "#total": TOTAL,
      "#span": spanName(liveUntil),
    },
    ExpressionAttributeValues: {
      ":kind": { S: "shard" satisfies ItemKind },
      ":lastExpired": { N: String(lastExpired) },
      ":shardMax": { N: String(shardMax) },
      ":one": { N: "1" },
    },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
}

/** The condition keeps the count from becoming negative. */
function decrement(shard: number, liveUntil: number): ShardUpdate {
  return {
    Key: connectionKey(shardId(shard)),
    UpdateExpression: "ADD #total :less, #span :less",
    ConditionExpression: "#span >= :one",
    ExpressionAttributeNames: { "#total": TOTAL, "#span": spanName(liveUntil) },
    ExpressionAttributeValues: { ":less": { N: "-1" }, ":one": { N: "1" } },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
}

function dropExpiredUpdate(shard: number, shardItem: Item, lastExpired: number): ShardUpdate {
  const expired = expiredSpans(shardItem, lastExpired);
  const dropped = expired.slice(0, SPANS_PER_UPDATE);
  const sum = dropped.reduce((total, [, count]) => total + count, 0);
  const lastDropped = readNumber(shardItem, LAST_DROPPED);
  const names = dropped.map(([name], index) => [`#s${index}`, name]);
  const counts = dropped.map(([, count], index) => [`:n${index}`, { N: String(count) }]);
  const removal = names.length > 0 ? ` REMOVE ${names.map(([placeholder]) => placeholder).join(", ")}` : "";
  return {
    Key: connectionKey(shardId(shard)),
    UpdateExpression: `SET #lastDropped = :lastExpired, #total = #total - :sum${removal}`,
    ConditionExpression: [
      "#lastDropped = :was",
      ...dropped.map((_, index) => `#s${index} = :n${index}`),
    ].join(" AND "),
    ExpressionAttributeNames: { "#lastDropped": LAST_DROPPED, "#total": TOTAL, ...Object.fromEntries(names) },
    ExpressionAttributeValues: {
      ":lastExpired": { N: String(dropped.length === expired.length ? lastExpired : lastDropped) },
      ":was": { N: String(lastDropped) },
      ":sum": { N: String(sum) },
      ...Object.fromEntries(counts),
    },
  };
}

/** Returns the number of a shard's connections that may still be open. */
function countOpen(item: Item, lastExpired: number): number {
  return expiredSpans(item, lastExpired).reduce((open, [, count]) => open - count, readNumber(item, TOTAL));
}

function expiredSpans(item: Item, lastExpired: number): [name: string, count: number][] {
  return Object.keys(item)
    .filter((name) => name.startsWith(SPAN_PREFIX) && Number(name.slice(SPAN_PREFIX.length)) <= lastExpired)
    .map((name) => [name, readNumber(item, name)]);
}

/** Names a span by its end. */
function spanName(liveUntil: number): string {
  return `${SPAN_PREFIX}${Math.ceil(liveUntil / SPAN_MS)}`;
}

function lastExpiredSpan(now: number): number {
  return Math.floor(now / SPAN_MS);
}

/** Divides the limit equally; the remainder goes to the first shards, one each. */
function shardLimit(shard: number, limit: number): number {
  return Math.floor(limit / SHARDS) + (shard < limit % SHARDS ? 1 : 0);
}

function shardId(shard: number): string {
  return `#count-${shard}`;
}

function readNumber(item: Item, name: string): number {
  return Number(item[name]?.N ?? 0);
}

function createTimeoutError(client: RetryingClient): StoreError {
  return new StoreError(
    "STORE_UNAVAILABLE",
    `Count of ${client.tableName} timed out: other calls kept changing it`,
  );
}
