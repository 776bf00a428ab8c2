import type { Put, Update } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { shardOf } from "../client/shards.ts";
import { transact } from "../client/transact.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";
import { getAll } from "./reads.ts";
import { type Kind, keyOf } from "./rows.ts";

/** More than sixteen, so that chance puts no sixteenth of the writes on one of them. */
const SHARDS = 64;

/**
 * A shard counts its connections by when they end, in spans of so many ms. A span that is over goes as a whole:
 * with it goes every connection that nobody took leave of.
 */
const SPAN_MS = 10 * 60 * 1000;

/** Spans that one update settles: DynamoDB takes an expression of 4 KB. */
const SPANS_PER_UPDATE = 100;

const TOTAL = "Total";
/** The last span that the total is without. */
const SETTLED = "Settled";
const SPAN_PREFIX = "Span";

/** A row to be written with its entry in the count. */
export interface Entry {
  readonly id: string;
  /** ms since the epoch. */
  readonly liveUntil: number;
  /** The row. Its condition decides whether there is anything to count. */
  readonly put: Put & { readonly Item: Item };
}

type Added = { readonly standing: Item | undefined } | "full";

/**
 * The number of counted connections, in shards, each with a share of the limit. A shard changes in one
 * transaction with the row that is counted, so neither a crash nor a call that comes twice can part them.
 */
export class ConnectionCount {
  readonly #client: RetryingClient;
  readonly #limit: number;

  constructor(client: RetryingClient, limit: number) {
    this.#client = client;
    this.#limit = limit;
  }

  /**
   * Writes the row and counts it. Resolves to the item whose place it would have taken, if its condition failed.
   * @throws {StoreError} TOO_MANY_CONNECTIONS
   */
  async add(retry: Retry, entry: Entry, now: number): Promise<Item | undefined> {
    const home = shardOf(entry.id, Math.min(SHARDS, this.#limit));
    const added = await this.#addTo(home, retry, entry, now);
    if (added !== "full") return added.standing;
    for (const shard of await this.#shardsWithRoom(retry, now)) {
      const elsewhere = await this.#addTo(shard, retry, entry, now);
      if (elsewhere !== "full") return elsewhere.standing;
    }
    throw new StoreError(
      "TOO_MANY_CONNECTIONS",
      `${this.#client.tableName} holds ${this.#limit} connections`,
    );
  }

  async #addTo(shard: number, retry: Retry, entry: Entry, now: number): Promise<Added> {
    const ended = lastEndedSpan(now);
    const row = { ...entry.put.Item, [CONNECTION_ATTRIBUTES.countShard]: { N: String(shard) } };
    const share = shareOf(shard, this.#limit);
    const update = { TableName: this.#client.tableName, ...increment(shard, entry.liveUntil, ended, share) };
    for (;;) {
      const failures = await transact(this.#client, retry, [
        { Put: { ...entry.put, Item: row } },
        { Update: update },
      ]);
      if (failures === undefined) return { standing: undefined };
      const [standing, counted] = failures;
      if (standing !== undefined) return { standing };
      if (counted === undefined || numberOf(counted, SETTLED) >= ended) return "full";
      await this.#settle(shard, retry, counted, ended);
    }
  }

  /** Takes the spans that are over off the total, if the shard still is as it was. */
  async #settle(shard: number, retry: Retry, seen: Item, ended: number): Promise<void> {
    const update = { TableName: this.#client.tableName, ...settlement(shard, seen, ended) };
    try {
      await this.#client.call(retry, "UpdateItem", update);
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
      if (!(await retry.pause())) throw busy(this.#client);
    }
  }

  /** In any order, so that those who look at the same time do not all take the same. */
  async #shardsWithRoom(retry: Retry, now: number): Promise<number[]> {
    const ids = Array.from({ length: SHARDS }, (_, shard) => shardId(shard));
    const items = await getAll(this.#client, retry, ids, { consistent: true });
    const ended = lastEndedSpan(now);
    return ids
      .map((id, shard) => ({ shard, room: shareOf(shard, this.#limit) - openIn(items.get(id) ?? {}, ended) }))
      .filter(({ room }) => room > 0)
      .map(({ shard }) => ({ shard, order: Math.random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ shard }) => shard);
  }
}

/**
 * Writes what takes a counted row's place, and takes the row off the count. `uncounted` when the count has
 * settled the row's span already: then nothing is written.
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
    ...decrement(Number(shard.N), numberOf(row, CONNECTION_ATTRIBUTES.liveUntil)),
  };
  const failures = await transact(client, retry, [{ Put: put }, { Update: update }]);
  // Where the row's own condition failed somebody else has removed it, and counted that.
  return failures !== undefined && failures[0] === undefined ? "uncounted" : "removed";
}

type ShardUpdate = Omit<Update, "TableName" | "UpdateExpression"> & { UpdateExpression: string };

function increment(shard: number, liveUntil: number, ended: number, share: number): ShardUpdate {
  return {
    Key: keyOf(shardId(shard)),
    UpdateExpression:
      "SET #kind = :kind, #settled = if_not_exists(#settled, :ended) ADD #total :one, #span :one",
    ConditionExpression: "attribute_not_exists(#total) OR (#settled >= :ended AND #total < :share)",
    ExpressionAttributeNames: {
      "#kind": CONNECTION_ATTRIBUTES.kind,
      "#settled": SETTLED,
      "#total": TOTAL,
      "#span": spanName(liveUntil),
    },
    ExpressionAttributeValues: {
      ":kind": { S: "shard" satisfies Kind },
      ":ended": { N: String(ended) },
      ":share": { N: String(share) },
      ":one": { N: "1" },
    },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
}

/** Never below zero: a span that holds nobody is left alone. */
function decrement(shard: number, liveUntil: number): ShardUpdate {
  return {
    Key: keyOf(shardId(shard)),
    UpdateExpression: "ADD #total :less, #span :less",
    ConditionExpression: "#span >= :one",
    ExpressionAttributeNames: { "#total": TOTAL, "#span": spanName(liveUntil) },
    ExpressionAttributeValues: { ":less": { N: "-1" }, ":one": { N: "1" } },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
}

function settlement(shard: number, seen: Item, ended: number): ShardUpdate {
  const over = spansOver(seen, ended);
  const taken = over.slice(0, SPANS_PER_UPDATE);
  const sum = taken.reduce((total, [, count]) => total + count, 0);
  const settled = numberOf(seen, SETTLED);
  const names = taken.map(([name], index) => [`#s${index}`, name]);
  const counts = taken.map(([, count], index) => [`:n${index}`, { N: String(count) }]);
  const removal = names.length > 0 ? ` REMOVE ${names.map(([placeholder]) => placeholder).join(", ")}` : "";
  return {
    Key: keyOf(shardId(shard)),
    UpdateExpression: `SET #settled = :ended, #total = #total - :sum${removal}`,
    ConditionExpression: ["#settled = :was", ...taken.map((_, index) => `#s${index} = :n${index}`)].join(
      " AND ",
    ),
    ExpressionAttributeNames: { "#settled": SETTLED, "#total": TOTAL, ...Object.fromEntries(names) },
    ExpressionAttributeValues: {
      ":ended": { N: String(taken.length === over.length ? ended : settled) },
      ":was": { N: String(settled) },
      ":sum": { N: String(sum) },
      ...Object.fromEntries(counts),
    },
  };
}

/** Those of a shard that may still be open. */
function openIn(item: Item, ended: number): number {
  return spansOver(item, ended).reduce((open, [, count]) => open - count, numberOf(item, TOTAL));
}

function spansOver(item: Item, ended: number): [name: string, count: number][] {
  return Object.keys(item)
    .filter((name) => name.startsWith(SPAN_PREFIX) && Number(name.slice(SPAN_PREFIX.length)) <= ended)
    .map((name) => [name, numberOf(item, name)]);
}

/** The span is named by its end. */
function spanName(liveUntil: number): string {
  return `${SPAN_PREFIX}${Math.ceil(liveUntil / SPAN_MS)}`;
}

function lastEndedSpan(now: number): number {
  return Math.floor(now / SPAN_MS);
}

/** The limit in equal parts; what is left over goes to the first shards, one each. */
function shareOf(shard: number, limit: number): number {
  return Math.floor(limit / SHARDS) + (shard < limit % SHARDS ? 1 : 0);
}

function shardId(shard: number): string {
  return `#count-${shard}`;
}

function numberOf(item: Item, name: string): number {
  return Number(item[name]?.N ?? 0);
}

function busy(client: RetryingClient): StoreError {
  return new StoreError("STORE_UNAVAILABLE", `The count of ${client.tableName} kept changing`);
}
