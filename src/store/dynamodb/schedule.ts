import { createHash } from "node:crypto";
import type { QueryInput } from "@aws-sdk/client-dynamodb";
import { StoreError } from "../contracts/errors.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import {
  type DeadLetter,
  type ItemFailure,
  parseDueTime,
  type Schedule,
  type ScheduledItem,
  type ScheduledItemVersion,
} from "../contracts/schedule.ts";
import type { TimeBudget } from "../contracts/time-budget.ts";
import { getConditionFailure, type Item } from "./client/errors.ts";
import { boundedKey, MAX_PARTITION_KEY_BYTES } from "./client/key-text.ts";
import type { RetryingClient } from "./client/retrying-client.ts";
import { DUE_INDEX, SCHEDULE_ATTRIBUTES as NAMES } from "./tables.ts";

/** A partition of the index takes 1,000 writes a second, so all of them 16,000; each costs a tick half a unit. */
const SHARDS = 16;

/** The partition of the index that dead letters are in. */
const DEAD = "dead";

const KEPT_PAST_DUE_SECONDS = 7 * 24 * 60 * 60;

/** As many as the largest time has. */
const TIME_DIGITS = 16;

/**
 * What must happen later, in DynamoDB. A call that DynamoDB throttles or does not answer is repeated until
 * `timeoutMs`, or its caller's budget, is over.
 */
export class DynamoDBSchedule implements Schedule {
  readonly #client: RetryingClient;

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async put(item: ScheduledItem, budget?: TimeBudget): Promise<void> {
    const TableName = this.#client.tableName;
    await this.#client.call(this.#client.startRetry(budget), "PutItem", { TableName, Item: itemOf(item) });
  }

  /** Not always the same shard first: a tick that has no time for all of them must not leave the same ones. */
  async *listDue(now: number): AsyncGenerator<ScheduledItem> {
    const first = Math.floor(Math.random() * SHARDS);
    let bad: StoreError | undefined;
    for (let shard = 0; shard < SHARDS; shard++) {
      for await (const item of this.#dueIn((first + shard) % SHARDS, now)) {
        const read = scheduledItem(item);
        if (read instanceof StoreError) bad ??= read;
        else yield read;
      }
    }
    // Loudly, but last: one bad item must not keep the others from being acted on.
    if (bad !== undefined) throw bad;
  }

  /** Consistently: an item that was read in the index may have moved since. */
  async get(
    item: Pick<ScheduledItem, "kind" | "id">,
    budget?: TimeBudget,
  ): Promise<ScheduledItem | undefined> {
    const { Item: found } = await this.#client.call(this.#client.startRetry(budget), "GetItem", {
      TableName: this.#client.tableName,
      Key: { [NAMES.key]: { S: tableKeyOf(item) } },
      ConsistentRead: true,
    });
    if (found === undefined || found[NAMES.shard]?.S === DEAD) return undefined;
    const read = scheduledItem(found);
    if (read instanceof StoreError) throw read;
    return read;
  }

  async recordFailure(
    item: ScheduledItemVersion,
    { failures, cause, dueAt, at }: ItemFailure,
    budget?: TimeBudget,
  ): Promise<void> {
    const kept = { failures: { N: String(failures) }, cause: { S: cause } };
    const moved =
      dueAt === undefined
        ? { shard: { S: DEAD }, expiresAt: { N: String(Math.ceil(at / 1_000) + KEPT_PAST_DUE_SECONDS) } }
        : { dueAt: { S: timeText(parseDueTime(dueAt)) } };
    const changes = Object.entries({ ...kept, ...moved });
    await this.#unlessMoved(item, budget, "UpdateItem", {
      UpdateExpression: `SET ${changes.map(([name]) => `#${name} = :new_${name}`).join(", ")}`,
      names: Object.fromEntries(changes.map(([name]) => [`#${name}`, NAMES[name as keyof typeof NAMES]])),
      values: Object.fromEntries(changes.map(([name, value]) => [`:new_${name}`, value])),
    });
  }

  async *listDeadLetters(): AsyncGenerator<DeadLetter> {
    for await (const item of this.#itemsIn(DEAD)) {
      const read = scheduledItem(item);
      if (read instanceof StoreError) throw read;
      yield { ...read, failures: read.failures ?? 0, cause: item[NAMES.cause]?.S ?? "" };
    }
  }

  async delete(item: ScheduledItemVersion, budget?: TimeBudget): Promise<void> {
    await this.#unlessMoved(item, budget, "DeleteItem", {});
  }

  async #unlessMoved(
    item: ScheduledItemVersion,
    budget: TimeBudget | undefined,
    operation: "UpdateItem" | "DeleteItem",
    {
      names,
      values,
      ...change
    }: { names?: { [name: string]: string }; values?: Item; UpdateExpression?: string },
  ): Promise<void> {
    const changed = this.#client.call(this.#client.startRetry(budget), operation, {
      TableName: this.#client.tableName,
      Key: { [NAMES.key]: { S: tableKeyOf(item) } },
      ...change,
      ConditionExpression: "#dueAt = :dueAt",
      ExpressionAttributeNames: { ...names, "#dueAt": NAMES.dueAt },
      ExpressionAttributeValues: { ...values, ":dueAt": { S: timeText(Math.ceil(item.dueAt)) } },
    });
    try {
      await changed;
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
    }
  }

  #dueIn(shard: number, now: number): AsyncGenerator<Item> {
    return this.#itemsIn(String(shard), timeText(Math.floor(now)));
  }

  async *#itemsIn(shard: string, until?: string): AsyncGenerator<Item> {
    const bounded = until !== undefined;
    let start: QueryInput["ExclusiveStartKey"];
    do {
      // Each page has time of its own: nobody knows how long its items are looked at.
      const page = await this.#client.call(this.#client.startRetry(), "Query", {
        TableName: this.#client.tableName,
        IndexName: DUE_INDEX.name,
        KeyConditionExpression: `#shard = :shard${bounded ? " AND #dueAt <= :until" : ""}`,
        ExpressionAttributeNames: { "#shard": NAMES.shard, ...(bounded && { "#dueAt": NAMES.dueAt }) },
        ExpressionAttributeValues: { ":shard": { S: shard }, ...(bounded && { ":until": { S: until } }) },
        ExclusiveStartKey: start,
      });
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }
}

/** No two pairs share it. */
function keyOf({ kind, id }: Pick<ScheduledItem, "kind" | "id">): string {
  return JSON.stringify([kind, id]);
}

function tableKeyOf(item: Pick<ScheduledItem, "kind" | "id">): string {
  return boundedKey(keyOf(item), MAX_PARTITION_KEY_BYTES);
}

/** Whole ms as text that sorts as they do. */
function timeText(ms: number): string {
  return String(ms).padStart(TIME_DIGITS, "0");
}

function itemOf(item: ScheduledItem): Item {
  const key = keyOf(item);
  const dueAt = parseDueTime(item.dueAt);
  const shard = createHash("sha256").update(key).digest().readUInt32BE() % SHARDS;
  return {
    [NAMES.key]: { S: tableKeyOf(item) },
    ...(tableKeyOf(item) === key ? {} : { [NAMES.longKey]: { S: key } }),
    [NAMES.shard]: { S: String(shard) },
    [NAMES.dueAt]: { S: timeText(dueAt) },
    [NAMES.data]: { S: JSON.stringify(item.data) },
    ...(item.failures === undefined ? {} : { [NAMES.failures]: { N: String(item.failures) } }),
    [NAMES.expiresAt]: { N: String(Math.ceil(dueAt / 1_000) + KEPT_PAST_DUE_SECONDS) },
  };
}

function scheduledItem(item: Item): ScheduledItem | StoreError {
  const text = (name: string) => item[name]?.S ?? "";
  try {
    const [kind, id] = JSON.parse(text(NAMES.longKey) || text(NAMES.key)) as [string, string];
    const dueAt = Number.parseInt(text(NAMES.dueAt), 10);
    const data = JSON.parse(text(NAMES.data)) as Json;
    if (typeof kind !== "string" || typeof id !== "string" || Number.isNaN(dueAt)) throw new TypeError();
    const failures = item[NAMES.failures]?.N;
    return {
      kind,
      id,
      dueAt,
      data: data as JsonObject,
      ...(failures === undefined ? {} : { failures: Number(failures) }),
    };
  } catch (cause) {
    return new StoreError("BAD_ROW", `Scheduled item ${text(NAMES.key)} is malformed`, { cause });
  }
}
