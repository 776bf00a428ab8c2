import { createHash } from "node:crypto";
import type { QueryInput } from "@aws-sdk/client-dynamodb";
import { dueTime } from "../due-time.ts";
import { StoreError } from "../errors.ts";
import type { Json, JsonObject, Schedule, ScheduledItem, TimeBudget } from "../ports.ts";
import type { Caller } from "./caller.ts";
import { conditionFailure, type Item } from "./failures.ts";
import { DUE_INDEX, SCHEDULE_ATTRIBUTES as NAMES } from "./tables.ts";

/** A partition of the index takes 1,000 writes a second, so all of them 16,000; each costs a tick half a unit. */
const SHARDS = 16;

const KEPT_PAST_DUE_SECONDS = 7 * 24 * 60 * 60;

/** As many as the largest time has. */
const TIME_DIGITS = 16;

/**
 * What must happen later, in DynamoDB. A call that DynamoDB throttles or does not answer is repeated until
 * `timeoutMs`, or its caller's budget, is over.
 */
export class DynamoDBSchedule implements Schedule {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async put(item: ScheduledItem, budget?: TimeBudget): Promise<void> {
    const TableName = this.#caller.tableName;
    await this.#caller.call(this.#caller.begin(budget), "PutItem", { TableName, Item: itemOf(item) });
  }

  /** Not always the same shard first: a tick that has no time for all of them must not leave the same ones. */
  async *due(now: number): AsyncGenerator<ScheduledItem> {
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

  async delete(item: Pick<ScheduledItem, "kind" | "id" | "dueAt">, budget?: TimeBudget): Promise<void> {
    const removal = this.#caller.call(this.#caller.begin(budget), "DeleteItem", {
      TableName: this.#caller.tableName,
      Key: { [NAMES.key]: { S: keyOf(item) } },
      ConditionExpression: "#dueAt = :dueAt",
      ExpressionAttributeNames: { "#dueAt": NAMES.dueAt },
      ExpressionAttributeValues: { ":dueAt": { S: timeText(Math.ceil(item.dueAt)) } },
    });
    try {
      await removal;
    } catch (error) {
      if (conditionFailure(error) === undefined) throw error;
    }
  }

  async *#dueIn(shard: number, now: number): AsyncGenerator<Item> {
    let start: QueryInput["ExclusiveStartKey"];
    do {
      // Each page has time of its own: nobody knows how long its items are looked at.
      const page = await this.#caller.call(this.#caller.begin(), "Query", {
        TableName: this.#caller.tableName,
        IndexName: DUE_INDEX.name,
        KeyConditionExpression: "#shard = :shard AND #dueAt <= :now",
        ExpressionAttributeNames: { "#shard": NAMES.shard, "#dueAt": NAMES.dueAt },
        ExpressionAttributeValues: {
          ":shard": { S: String(shard) },
          ":now": { S: timeText(Math.floor(now)) },
        },
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

/** Whole ms as text that sorts as they do. */
function timeText(ms: number): string {
  return String(ms).padStart(TIME_DIGITS, "0");
}

function itemOf(item: ScheduledItem): Item {
  const key = keyOf(item);
  const dueAt = dueTime(item.dueAt);
  const shard = createHash("sha256").update(key).digest().readUInt32BE() % SHARDS;
  return {
    [NAMES.key]: { S: key },
    [NAMES.shard]: { S: String(shard) },
    [NAMES.dueAt]: { S: timeText(dueAt) },
    [NAMES.data]: { S: JSON.stringify(item.data) },
    [NAMES.expiresAt]: { N: String(Math.ceil(dueAt / 1_000) + KEPT_PAST_DUE_SECONDS) },
  };
}

function scheduledItem(item: Item): ScheduledItem | StoreError {
  const text = (name: string) => item[name]?.S ?? "";
  try {
    const [kind, id] = JSON.parse(text(NAMES.key)) as [string, string];
    const dueAt = Number.parseInt(text(NAMES.dueAt), 10);
    const data = JSON.parse(text(NAMES.data)) as Json;
    if (typeof kind !== "string" || typeof id !== "string" || Number.isNaN(dueAt)) throw new TypeError();
    return { kind, id, dueAt, data: data as JsonObject };
  } catch (cause) {
    return new StoreError("BAD_ROW", `Scheduled item ${text(NAMES.key)} is malformed`, { cause });
  }
}
