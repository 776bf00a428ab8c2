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
import { createBadRowError } from "./member-items.ts";

/**
 * DynamoDB may remove an incomplete message this long after its first chunk. A later chunk starts the message anew.
 */
const EXPIRES_AFTER_MS = 15 * 60_000;
const WRITE_ID_BYTES = 6;

/**
 * Sort key of the head item, which records the chunks that have arrived. It cannot collide with a chunk's key, which
 * begins with a number.
 */
const HEAD = "head";

/** All attribute names of a head's conditions and updates. */
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
 * Message chunks in DynamoDB. Each chunk has its own item, and each is recorded by one conditional write to a head
 * item. The write that completes the head belongs to the last chunk, which returns the whole message.
 */
export class DynamoDBMessageChunks implements MessageChunks {
  readonly #client: RetryingClient;

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async add(
    connectionId: string,
    chunk: MessageChunk,
    now: number,
    budget?: TimeBudget,
  ): Promise<ChunkResult> {
    const retry = this.#client.startRetry(budget);
    // Before the head, so that the call that completes the head finds all chunks.
    await this.#client.call(retry, "PutItem", {
      TableName: this.#client.tableName,
      Item: { ...chunkKey(connectionId, chunk), [NAMES.text]: { S: chunk.text }, ...expiry(now) },
    });
    const writeId = randomBytes(WRITE_ID_BYTES).toString("base64url");
    // The first chunk usually arrives first, so it creates the head, and the others expect to find one.
    const first = chunk.index === 0 ? this.#createHead : this.#addToHead;
    for (let write = first; ; ) {
      const { head, written } = await write.call(this, retry, connectionId, chunk, writeId, now);
      const step = written ? "written" : findNextStep(head, chunk, writeId, now);
      if (step === "create-head" || step === "add-to-head")
        write = step === "create-head" ? this.#createHead : this.#addToHead;
      else if (step === "kept" || step === "closed") return step;
      else if (isComplete(head)) return { whole: await this.#read(retry, connectionId, chunk) };
      else return arrivedIndexes(head).length === 1 ? "opened" : "kept";
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

  /** Creates the head, if there is none or the one of an earlier message. */
  #createHead(retry: Retry, connectionId: string, chunk: MessageChunk, writeId: string, now: number) {
    const update = [
      "SET #message = :message, #count = :count, #arrived = :arrived, #lastBy = :writeId",
      "#liveUntil = :liveUntil, #expiresAt = :expiresAt REMOVE #closed",
    ];
    return this.#update(retry, connectionId, {
      UpdateExpression: update.join(", "),
      ConditionExpression: "attribute_not_exists(#message) OR #message < :message",
      values: {
        ":message": { N: String(chunk.message) },
        ":count": { N: String(chunk.count) },
        ":arrived": { NS: [String(chunk.index)] },
        ":writeId": { S: writeId },
        ":liveUntil": { N: String(now + CHUNKS_TIMEOUT_MS) },
        ":expiresAt": expiry(now)[NAMES.expiresAt]!,
      },
    });
  }

  /** Adds a chunk to an existing head. */
  #addToHead(retry: Retry, connectionId: string, chunk: MessageChunk, writeId: string, now: number) {
    return this.#update(retry, connectionId, {
      UpdateExpression: "SET #lastBy = :writeId ADD #arrived :arrived",
      ConditionExpression:
        "#message = :message AND #count = :count AND #liveUntil > :now " +
        "AND attribute_not_exists(#closed) AND NOT contains(#arrived, :index)",
      values: {
        ":message": { N: String(chunk.message) },
        ":count": { N: String(chunk.count) },
        ":arrived": { NS: [String(chunk.index)] },
        ":index": { N: String(chunk.index) },
        ":writeId": { S: writeId },
        ":now": { N: String(now) },
      },
    });
  }

  /** @returns the head after the write, or the head that made the condition fail */
  async #update(
    retry: Retry,
    connectionId: string,
    { values, ...update }: HeadUpdate,
  ): Promise<{ readonly head: Item | undefined; readonly written: boolean }> {
    const expressions = `${update.UpdateExpression} ${update.ConditionExpression}`;
    const names = Object.entries(HEAD_NAMES).filter(([name]) => expressions.includes(name));
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
      const existing = getConditionFailure(error);
      if (existing === undefined) throw error;
      return { head: Object.keys(existing).length === 0 ? undefined : existing, written: false };
    }
  }

  async #read(retry: Retry, connectionId: string, { message, count }: MessageChunk): Promise<string> {
    const page = await this.#client.call(retry, "Query", {
      TableName: this.#client.tableName,
      KeyConditionExpression: "#group = :group AND begins_with(#item, :message)",
      ExpressionAttributeNames: { "#group": NAMES.group, "#item": NAMES.item },
      ExpressionAttributeValues: {
        ":group": { S: chunkGroup(connectionId) },
        ":message": { S: `${message}:` },
      },
      ConsistentRead: true,
    });
    const texts = (page.Items ?? []).map((item) => item[NAMES.text]?.S ?? "");
    if (texts.length !== count) throw createBadRowError(itemKey(connectionId, `${message}:`));
    return texts.join("");
  }
}

interface HeadUpdate {
  readonly UpdateExpression: string;
  readonly ConditionExpression: string;
  readonly values: Item;
}

/** Returns the next step of a chunk whose write failed on the current head. */
function findNextStep(
  head: Item | undefined,
  chunk: MessageChunk,
  writeId: string,
  now: number,
): "create-head" | "add-to-head" | "kept" | "closed" | "written" {
  const number = Number(head?.[NAMES.message]?.N ?? 0);
  if (head === undefined || number < chunk.message) return "create-head";
  if (number > chunk.message || Number(head[NAMES.count]?.N) !== chunk.count) return "closed";
  // An earlier attempt wrote it, and the response was lost. If another chunk has arrived since, that one is the last
  // instead.
  if (head[NAMES.lastBy]?.S === writeId) return "written";
  if (head[NAMES.closed] !== undefined || Number(head[NAMES.liveUntil]?.N) <= now) return "closed";
  return arrivedIndexes(head).includes(String(chunk.index)) ? "kept" : "add-to-head";
}

function isComplete(head: Item | undefined): boolean {
  return arrivedIndexes(head).length === Number(head?.[NAMES.count]?.N);
}

function arrivedIndexes(head: Item | undefined): string[] {
  return head?.[NAMES.arrived]?.NS ?? [];
}

function chunkGroup(connectionId: string): string {
  return `parts${keyText(connectionId)}`;
}

function chunkKey(connectionId: string, { message, index }: MessageChunk): Item {
  // Padded, so that chunks sort by index.
  return itemKey(connectionId, `${message}:${String(index).padStart(4, "0")}`);
}

function itemKey(connectionId: string, item: string): Item {
  return { [NAMES.group]: { S: chunkGroup(connectionId) }, [NAMES.item]: { S: item } };
}

function expiry(now: number): Item {
  return { [NAMES.expiresAt]: { N: String(Math.ceil((now + EXPIRES_AFTER_MS) / 1_000)) } };
}
