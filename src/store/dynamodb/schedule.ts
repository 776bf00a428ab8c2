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

/**
 * A partition of the index takes 1,000 writes per second, so all of them take 16,000. Each costs a tick half a read
 * unit.
 */
const SHARDS = 16;

/** The index partition of dead letters. */
const DEAD_LETTERS = "dead";

const RETENTION_SECONDS = 7 * 24 * 60 * 60;

/** The digits of the largest time in ms. */
const TIME_DIGITS = 16;

/**
 * A schedule in DynamoDB. Calls are retried with backoff while throttled or unanswered, until `timeoutMs` or the
 * caller's budget is over.
 */
export class DynamoDBSchedule implements Schedule {
  readonly #client: RetryingClient;

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async put(item: ScheduledItem, budget?: TimeBudget): Promise<void> {
    const TableName = this.#client.tableName;
    await this.#client.call(this.#client.startRetry(budget), "PutItem", { TableName, Item: toItem(item) });
  }

  /** Starts at a random shard, so that a tick without time for all shards does not always skip the same ones. */
  async *listDue(now: number): AsyncGenerator<ScheduledItem> {
    const first = Math.floor(Math.random() * SHARDS);
    let firstError: StoreError | undefined;
    for (let shard = 0; shard < SHARDS; shard++) {
      for await (const item of this.#dueItems((first + shard) % SHARDS, now)) {
        const parsed = parseItem(item);
        if (parsed instanceof StoreError) firstError ??= parsed;
        else yield parsed;
      }
    }
    // Throws at the end, so that a malformed item does not hide the others.
    if (firstError !== undefined) throw firstError;
  }

  /** Reads consistently, because an item from the index may have been rescheduled since. */
  async get(
    item: Pick<ScheduledItem, "kind" | "id">,
    budget?: TimeBudget,
  ): Promise<ScheduledItem | undefined> {
    const { Item: found } = await this.#client.call(this.#client.startRetry(budget), "GetItem", {
      TableName: this.#client.tableName,
      Key: { [NAMES.key]: { S: tableKey(item) } },
      ConsistentRead: true,
    });
    if (found === undefined || found[NAMES.shard]?.S === DEAD_LETTERS) return undefined;
    const parsed = parseItem(found);
    if (parsed instanceof StoreError) throw parsed;
    return parsed;
  }

  async recordFailure(
    item: ScheduledItemVersion,
    { failures, cause, dueAt, at }: ItemFailure,
    budget?: TimeBudget,
  ): Promise<void> {
    const failureValues = { failures: { N: String(failures) }, cause: { S: cause } };
    const scheduleValues =
      dueAt === undefined
        ? { shard: { S: DEAD_LETTERS }, expiresAt: { N: String(Math.ceil(at / 1_000) + RETENTION_SECONDS) } }
        : { dueAt: { S: formatTime(parseDueTime(dueAt)) } };
    const changes = Object.entries({ ...failureValues, ...scheduleValues });
    await this.#writeUnlessRescheduled(item, budget, "UpdateItem", {
      UpdateExpression: `SET ${changes.map(([name]) => `#${name} = :new_${name}`).join(", ")}`,
      names: Object.fromEntries(changes.map(([name]) => [`#${name}`, NAMES[name as keyof typeof NAMES]])),
      values: Object.fromEntries(changes.map(([name, value]) => [`:new_${name}`, value])),
    });
  }

  async *listDeadLetters(): AsyncGenerator<DeadLetter> {
    for await (const item of this.#itemsIn(DEAD_LETTERS)) {
      const parsed = parseItem(item);
      if (parsed instanceof StoreError) throw parsed;
      yield { ...parsed, failures: parsed.failures ?? 0, cause: item[NAMES.cause]?.S ?? "" };
    }
  }

  async delete(item: ScheduledItemVersion, budget?: TimeBudget): Promise<void> {
    await this.#writeUnlessRescheduled(item, budget, "DeleteItem", {});
  }

  async #writeUnlessRescheduled(
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
      Key: { [NAMES.key]: { S: tableKey(item) } },
      ...change,
      ConditionExpression: "#dueAt = :dueAt",
      ExpressionAttributeNames: { ...names, "#dueAt": NAMES.dueAt },
      ExpressionAttributeValues: { ...values, ":dueAt": { S: formatTime(Math.ceil(item.dueAt)) } },
    });
    try {
      await changed;
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
    }
  }

  #dueItems(shard: number, now: number): AsyncGenerator<Item> {
    return this.#itemsIn(String(shard), formatTime(Math.floor(now)));
  }

  async *#itemsIn(shard: string, until?: string): AsyncGenerator<Item> {
    const isBounded = until !== undefined;
    let start: QueryInput["ExclusiveStartKey"];
    do {
      // Each page has its own deadline, because the caller decides how long it processes a page.
      const page = await this.#client.call(this.#client.startRetry(), "Query", {
        TableName: this.#client.tableName,
        IndexName: DUE_INDEX.name,
        KeyConditionExpression: `#shard = :shard${isBounded ? " AND #dueAt <= :until" : ""}`,
        ExpressionAttributeNames: { "#shard": NAMES.shard, ...(isBounded && { "#dueAt": NAMES.dueAt }) },
        ExpressionAttributeValues: { ":shard": { S: shard }, ...(isBounded && { ":until": { S: until } }) },
        ExclusiveStartKey: start,
      });
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }
}

/** Returns a text that differs for every pair of kind and id. */
function scheduleKey({ kind, id }: Pick<ScheduledItem, "kind" | "id">): string {
  return JSON.stringify([kind, id]);
}

function tableKey(item: Pick<ScheduledItem, "kind" | "id">): string {
  return boundedKey(scheduleKey(item), MAX_PARTITION_KEY_BYTES);
}

/** Formats ms as text that sorts in numeric order. */
function formatTime(ms: number): string {
  return String(ms).padStart(TIME_DIGITS, "0");
}

function toItem(item: ScheduledItem): Item {
  const key = scheduleKey(item);
  const dueAt = parseDueTime(item.dueAt);
  const shard = createHash("sha256").update(key).digest().readUInt32BE() % SHARDS;
  return {
    [NAMES.key]: { S: tableKey(item) },
    ...(tableKey(item) === key ? {} : { [NAMES.longKey]: { S: key } }),
    [NAMES.shard]: { S: String(shard) },
    [NAMES.dueAt]: { S: formatTime(dueAt) },
    [NAMES.data]: { S: JSON.stringify(item.data) },
    ...(item.failures === undefined ? {} : { [NAMES.failures]: { N: String(item.failures) } }),
    [NAMES.expiresAt]: { N: String(Math.ceil(dueAt / 1_000) + RETENTION_SECONDS) },
  };
}

function parseItem(item: Item): ScheduledItem | StoreError {
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
    return new StoreError("BAD_ROW", `Scheduled item ${text(NAMES.key)} is malformed; delete or repair it`, {
      cause,
    });
  }
}
