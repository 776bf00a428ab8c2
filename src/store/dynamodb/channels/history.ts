import { randomUUID } from "node:crypto";
import type { QueryInput } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import type {
  AppendResult,
  HistoryPage,
  HistoryQuery,
  NewMessage,
  PendingFanOut,
  Position,
  Retention,
  TableStreamHistory,
} from "../../contracts/channel-history.ts";
import { deriveEpoch } from "../../contracts/epoch.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import { keyText } from "../client/key-text.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { MESSAGE_ATTRIBUTES as NAMES } from "../tables.ts";
import { type AppendOutcome, append, appendAfter } from "./append.ts";
import {
  type Head,
  headKey,
  type MessageRow,
  messageKey,
  messageSortKey,
  parseHead,
  parseMessageRow,
  parsePendingFanOut,
  parseStoreId,
  storeIdItem,
  storeIdKey,
} from "./messages.ts";
import { hasUnsettledGap, type Span, selectMessages, toSpan } from "./retention.ts";

/** Channel history in DynamoDB. */
export class DynamoDBChannelHistory implements TableStreamHistory {
  readonly #client: RetryingClient;
  readonly #appends = new HeadQueue();

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async append(
    channel: string,
    message: NewMessage,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult> {
    const retry = this.#client.startRetry(budget);
    const readHead = () => this.#head(retry, channel);
    // Only the previous append in this process passes its head on. Reading the head costs one unit, a failed attempt
    // six.
    return this.#appends.run(channel, retry, (head) =>
      append(this.#client, retry, { channel, message, retention }, head, readHead),
    );
  }

  async appendAfter(
    channel: string,
    after: Position,
    message: Omit<NewMessage, "key">,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult | undefined> {
    const retry = this.#client.startRetry(budget);
    const readHead = () => this.#head(retry, channel);
    return this.#appends.run(channel, retry, (head) =>
      appendAfter(this.#client, retry, { channel, message, retention, after }, head, readHead),
    );
  }

  async read(channel: string, query: HistoryQuery, budget?: TimeBudget): Promise<HistoryPage> {
    const retry = this.#client.startRetry(budget);
    const { epoch, offset, at } = await this.#head(retry, channel);
    const span = toSpan(offset, query);
    for (;;) {
      const read = await this.#read(retry, channel, epoch, span, query);
      if (!hasUnsettledGap(read, span, { offset, at }, query)) {
        return { head: { epoch, offset }, ...selectMessages(read, span, query) };
      }
      if (!(await retry.pause())) {
        throw new StoreError(
          "STORE_UNAVAILABLE",
          `${this.#client.tableName}: a message is still being written`,
        );
      }
    }
  }

  async readHead(channel: string, budget?: TimeBudget): Promise<Position> {
    const { epoch, offset } = await this.#head(this.#client.startRetry(budget), channel);
    return { epoch, offset };
  }

  async markDelivered(channel: string, offset: number, budget?: TimeBudget): Promise<void> {
    await this.#updatePending(channel, offset, budget, {
      UpdateExpression: "REMOVE #pending, #cursor",
      ExpressionAttributeNames: { "#pending": NAMES.pending, "#cursor": NAMES.cursor },
    });
  }

  async checkpoint(channel: string, offset: number, cursor: string, budget?: TimeBudget): Promise<void> {
    await this.#updatePending(channel, offset, budget, {
      UpdateExpression: "SET #cursor = :cursor",
      ExpressionAttributeNames: { "#pending": NAMES.pending, "#cursor": NAMES.cursor },
      ExpressionAttributeValues: { ":cursor": { S: cursor } },
    });
  }

  /** Yields nothing: the table's stream reports new messages. */
  async *listPendingFanOuts(): AsyncGenerator<PendingFanOut> {}

  /** Ignores a message with a cursor: its image reports a checkpoint, not a new message. */
  parseTableStreamImage(image: object): PendingFanOut | undefined {
    const stored = parsePendingFanOut(image as Item);
    return stored?.cursor === undefined ? stored : undefined;
  }

  async getPendingFanOut(
    channel: string,
    offset: number,
    budget?: TimeBudget,
  ): Promise<PendingFanOut | undefined> {
    const item = await this.#item(this.#client.startRetry(budget), messageKey(channel, offset));
    return item === undefined ? undefined : parsePendingFanOut(item);
  }

  /** Does nothing if the message is already delivered or removed. */
  async #updatePending(
    channel: string,
    offset: number,
    budget: TimeBudget | undefined,
    update: object,
  ): Promise<void> {
    const updated = this.#client.call(this.#client.startRetry(budget), "UpdateItem", {
      TableName: this.#client.tableName,
      Key: messageKey(channel, offset),
      ConditionExpression: "attribute_exists(#pending)",
      ...update,
    });
    try {
      await updated;
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
    }
  }

  /**
   * Reads messages of the span, oldest first. With `query.after` it reads from the beginning of the span; otherwise
   * it reads the newest, up to one more than the limit.
   */
  async #read(
    retry: Retry,
    channel: string,
    epoch: string,
    span: Span,
    query: HistoryQuery,
  ): Promise<MessageRow[]> {
    const rows: MessageRow[] = [];
    const ascending = query.after !== undefined;
    const isEnough = () =>
      ascending
        ? selectMessages(rows, span, query).messages.length >= query.limit
        : rows.length > query.limit;
    let start: QueryInput["ExclusiveStartKey"];
    if (span.first > span.last) return rows;
    do {
      const page = await this.#client.call(retry, "Query", {
        TableName: this.#client.tableName,
        KeyConditionExpression: "#channel = :channel AND #item BETWEEN :first AND :last",
        ExpressionAttributeNames: { "#channel": NAMES.channel, "#item": NAMES.item },
        ExpressionAttributeValues: {
          ":channel": { S: keyText(channel) },
          ":first": { S: messageSortKey(span.first) },
          ":last": { S: messageSortKey(span.last) },
        },
        ScanIndexForward: ascending,
        ConsistentRead: true,
        Limit: query.limit + 1,
        ExclusiveStartKey: start,
      });
      // Skips messages of an earlier epoch whose head was lost.
      const found = (page.Items ?? []).map(parseMessageRow).filter((row) => row.epoch === epoch);
      if (ascending) rows.push(...found);
      else rows.unshift(...found.reverse());
      start = page.LastEvaluatedKey;
    } while (start !== undefined && !isEnough());
    return rows;
  }

  /**
   * Returns the channel's head. A channel without messages has no item: anyone may read any name, and this must not
   * use storage.
   */
  async #head(retry: Retry, channel: string): Promise<Head> {
    const item = await this.#item(retry, headKey(channel));
    if (item !== undefined) return parseHead(item);
    // Not cached: the table may have been created anew or restored since the last read.
    return { epoch: deriveEpoch(await this.#readOrCreateStoreId(retry), channel), offset: 0, at: 0 };
  }

  async #readOrCreateStoreId(retry: Retry): Promise<string> {
    const item = await this.#item(retry, storeIdKey());
    if (item !== undefined) return parseStoreId(item);
    const storeId = randomUUID();
    try {
      await this.#client.call(retry, "PutItem", {
        TableName: this.#client.tableName,
        Item: storeIdItem(storeId),
        ConditionExpression: "attribute_not_exists(#item)",
        ExpressionAttributeNames: { "#item": NAMES.item },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return storeId;
    } catch (error) {
      const existing = getConditionFailure(error);
      if (existing === undefined) throw error;
      return parseStoreId(existing);
    }
  }

  async #item(retry: Retry, key: Item): Promise<Item | undefined> {
    const input = { TableName: this.#client.tableName, Key: key, ConsistentRead: true };
    return (await this.#client.call(retry, "GetItem", input)).Item;
  }
}

/**
 * Runs appends to one channel one after the other within this process: concurrent ones would only fail each other's
 * conditions. Each append receives the head that the one directly before it left.
 */
class HeadQueue {
  readonly #last = new Map<string, Promise<Head | undefined>>();

  /**
   * @param operation receives the head of the append directly before, if there was one and it succeeded
   * @throws {StoreError} STORE_UNAVAILABLE if the deadline of the retry passes before `operation` starts
   */
  async run<Result>(
    channel: string,
    retry: Retry,
    operation: (head: Head | undefined) => Promise<AppendOutcome<Result>>,
  ): Promise<Result> {
    const previous = this.#last.get(channel);
    const current = previous === undefined ? operation(undefined) : waitFor(previous, retry).then(operation);
    const settled = current.then(
      ({ head }) => head,
      () => undefined,
    );
    this.#last.set(channel, settled);
    try {
      return (await current).result;
    } finally {
      if (this.#last.get(channel) === settled) this.#last.delete(channel);
    }
  }
}

async function waitFor<Result>(previous: Promise<Result>, retry: Retry): Promise<Result> {
  try {
    return await retry.run(() => previous);
  } catch (cause) {
    throw new StoreError("STORE_UNAVAILABLE", "Append timed out behind other appends of this process", {
      cause,
    });
  }
}
