import { randomBytes } from "node:crypto";
import type { Retry } from "../../../aws/index.ts";
import {
  CHUNKS_TIMEOUT_MS,
  type ChunkResult,
  type MessageChunk,
  type MessageChunks,
} from "../../contracts/message-chunks.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import { keyText } from "../client/key-text.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import { bad } from "./member-items.ts";

/** DynamoDB removes what is left of a message so long after it was begun: a part that comes later begins it anew. */
const REMOVED_AFTER_MS = 15 * 60_000;
const MARK_BYTES = 6;

/** Beside the parts: it says which of them have come. In no part's place, whose name begins with a number. */
const HEAD = "head";

/** Everything that the conditions and updates of a head name. */
const HEAD_NAMES = {
  "#message": NAMES.message,
  "#count": NAMES.count,
  "#arrived": NAMES.arrived,
  "#lastBy": NAMES.lastBy,
  "#closed": NAMES.closed,
  "#liveUntil": NAMES.liveUntil,
  "#expiresAt": NAMES.expiresAt,
} as const;

/**
 * Parts in DynamoDB: an item each, and a head that is changed by one conditional write for each part. The write that makes
 * the head complete is the one whose part came last.
 */
export class DynamoDBMessageChunks implements MessageChunks {
  readonly #client: RetryingClient;

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async add(
    connectionId: string,
    part: MessageChunk,
    now: number,
    budget?: TimeBudget,
  ): Promise<ChunkResult> {
    const retry = this.#client.startRetry(budget);
    // First, so that whoever completes the head finds it.
    await this.#client.call(retry, "PutItem", {
      TableName: this.#client.tableName,
      Item: { ...partKey(connectionId, part), [NAMES.text]: { S: part.text }, ...expiry(now) },
    });
    const mark = randomBytes(MARK_BYTES).toString("base64url");
    // Most of a message's parts find a head; the first one is there before the others as a rule.
    const first = part.index === 0 ? this.#begin : this.#join;
    for (let write = first; ; ) {
      const { head, written } = await write.call(this, retry, connectionId, part, mark, now);
      const step = written ? "written" : next(head, part, mark, now);
      if (step === "begin" || step === "join") write = step === "begin" ? this.#begin : this.#join;
      else if (step === "kept" || step === "closed") return step;
      else if (isComplete(head)) return { whole: await this.#read(retry, connectionId, part) };
      else return arrivedOf(head).length === 1 ? "opened" : "kept";
    }
  }

  async abort(connectionId: string, message: number, budget?: TimeBudget): Promise<boolean> {
    const { written } = await this.#update(this.#client.startRetry(budget), connectionId, {
      UpdateExpression: "SET #closed = :true",
      ConditionExpression:
        "#message = :message AND attribute_not_exists(#closed) AND size(#arrived) < #count",
      values: { ":message": { N: String(message) }, ":true": { BOOL: true } },
    });
    return written;
  }

  /** The first part of a message, where no message stands or an earlier one. */
  #begin(retry: Retry, connectionId: string, part: MessageChunk, mark: string, now: number) {
    const update = [
      "SET #message = :message, #count = :count, #arrived = :arrived, #lastBy = :mark",
      "#liveUntil = :liveUntil, #expiresAt = :expiresAt REMOVE #closed",
    ];
    return this.#update(retry, connectionId, {
      UpdateExpression: update.join(", "),
      ConditionExpression: "attribute_not_exists(#message) OR #message < :message",
      values: {
        ":message": { N: String(part.message) },
        ":count": { N: String(part.count) },
        ":arrived": { NS: [String(part.index)] },
        ":mark": { S: mark },
        ":liveUntil": { N: String(now + CHUNKS_TIMEOUT_MS) },
        ":expiresAt": expiry(now)[NAMES.expiresAt]!,
      },
    });
  }

  /** One of the others. */
  #join(retry: Retry, connectionId: string, part: MessageChunk, mark: string, now: number) {
    return this.#update(retry, connectionId, {
      UpdateExpression: "SET #lastBy = :mark ADD #arrived :arrived",
      ConditionExpression:
        "#message = :message AND #count = :count AND #liveUntil > :now " +
        "AND attribute_not_exists(#closed) AND NOT contains(#arrived, :index)",
      values: {
        ":message": { N: String(part.message) },
        ":count": { N: String(part.count) },
        ":arrived": { NS: [String(part.index)] },
        ":index": { N: String(part.index) },
        ":mark": { S: mark },
        ":now": { N: String(now) },
      },
    });
  }

  /** @returns the head as it is now: after the write, or as it stood in its way */
  async #update(
    retry: Retry,
    connectionId: string,
    { values, ...update }: HeadUpdate,
  ): Promise<{ readonly head: Item | undefined; readonly written: boolean }> {
    const named = `${update.UpdateExpression} ${update.ConditionExpression}`;
    const names = Object.entries(HEAD_NAMES).filter(([name]) => named.includes(name));
    try {
      const { Attributes } = await this.#client.call(retry, "UpdateItem", {
        TableName: this.#client.tableName,
        Key: itemKey(connectionId, HEAD),
        ...update,
        ExpressionAttributeNames: Object.fromEntries(names),
        ExpressionAttributeValues: values,
        ReturnValues: "ALL_NEW",
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return { head: Attributes, written: true };
    } catch (error) {
      const standing = getConditionFailure(error);
      if (standing === undefined) throw error;
      return { head: Object.keys(standing).length === 0 ? undefined : standing, written: false };
    }
  }

  async #read(retry: Retry, connectionId: string, { message, count }: MessageChunk): Promise<string> {
    const page = await this.#client.call(retry, "Query", {
      TableName: this.#client.tableName,
      KeyConditionExpression: "#group = :group AND begins_with(#item, :message)",
      ExpressionAttributeNames: { "#group": NAMES.group, "#item": NAMES.item },
      ExpressionAttributeValues: {
        ":group": { S: groupOf(connectionId) },
        ":message": { S: `${message}:` },
      },
      ConsistentRead: true,
    });
    const texts = (page.Items ?? []).map((item) => item[NAMES.text]?.S ?? "");
    if (texts.length !== count) throw bad(itemKey(connectionId, `${message}:`));
    return texts.join("");
  }
}

interface HeadUpdate {
  readonly UpdateExpression: string;
  readonly ConditionExpression: string;
  readonly values: Item;
}

/** What a part does that found a head in its way. */
function next(
  head: Item | undefined,
  part: MessageChunk,
  mark: string,
  now: number,
): "begin" | "join" | "kept" | "closed" | "written" {
  const number = Number(head?.[NAMES.message]?.N ?? 0);
  if (head === undefined || number < part.message) return "begin";
  if (number > part.message || Number(head[NAMES.count]?.N) !== part.count) return "closed";
  // Written by an attempt whose answer was lost; another that has come since is the last one instead.
  if (head[NAMES.lastBy]?.S === mark) return "written";
  if (head[NAMES.closed] !== undefined || Number(head[NAMES.liveUntil]?.N) <= now) return "closed";
  return arrivedOf(head).includes(String(part.index)) ? "kept" : "join";
}

function isComplete(head: Item | undefined): boolean {
  return arrivedOf(head).length === Number(head?.[NAMES.count]?.N);
}

function arrivedOf(head: Item | undefined): string[] {
  return head?.[NAMES.arrived]?.NS ?? [];
}

function groupOf(connectionId: string): string {
  return `parts${keyText(connectionId)}`;
}

function partKey(connectionId: string, { message, index }: MessageChunk): Item {
  // In order as text.
  return itemKey(connectionId, `${message}:${String(index).padStart(4, "0")}`);
}

function itemKey(connectionId: string, item: string): Item {
  return { [NAMES.group]: { S: groupOf(connectionId) }, [NAMES.item]: { S: item } };
}

function expiry(now: number): Item {
  return { [NAMES.expiresAt]: { N: String(Math.ceil((now + REMOVED_AFTER_MS) / 1_000)) } };
}
