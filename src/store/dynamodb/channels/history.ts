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
import { append, appendAfter } from "./append.ts";
import {
  type Head,
  headKey,
  headOf,
  lifeItem,
  lifeKey,
  lifeOf,
  messageKey,
  messageName,
  type Row,
  rowOf,
  unfinishedMessage,
} from "./messages.ts";
import { hasUnsettledGap, type Span, shownOf, spanOf } from "./retention.ts";
import { HeadQueue } from "./turns.ts";

/** What was published, in DynamoDB. */
export class DynamoDBChannelHistory implements TableStreamHistory {
  readonly #client: RetryingClient;
  readonly #turns = new HeadQueue<Head | undefined>();

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
    // Only the one just before in this process knows the head well enough to try without a look: a look costs a unit,
    // an attempt that fails six.
    return this.#turns.take(channel, retry, (head) =>
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
    return this.#turns.take(channel, retry, (head) =>
      appendAfter(this.#client, retry, { channel, message, retention, after }, head, readHead),
    );
  }

  async read(channel: string, query: HistoryQuery, budget?: TimeBudget): Promise<HistoryPage> {
    const retry = this.#client.startRetry(budget);
    const { epoch, offset, at } = await this.#head(retry, channel);
    const span = spanOf(offset, query);
    for (;;) {
      const read = await this.#read(retry, channel, epoch, span, query);
      if (!hasUnsettledGap(read, span, { offset, at }, query)) {
        return { head: { epoch, offset }, ...shownOf(read, span, query) };
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
    await this.#mark(channel, offset, budget, {
      UpdateExpression: "REMOVE #pending, #cursor",
      ExpressionAttributeNames: { "#pending": NAMES.pending, "#cursor": NAMES.cursor },
    });
  }

  async checkpoint(channel: string, offset: number, cursor: string, budget?: TimeBudget): Promise<void> {
    await this.#mark(channel, offset, budget, {
      UpdateExpression: "SET #cursor = :cursor",
      ExpressionAttributeNames: { "#pending": NAMES.pending, "#cursor": NAMES.cursor },
      ExpressionAttributeValues: { ":cursor": { S: cursor } },
    });
  }

  /** Empty: the table's stream tells. */
  async *listPendingFanOuts(): AsyncGenerator<PendingFanOut> {}

  /** One that has been sent to some already tells of a checkpoint, not of a message that was stored now. */
  parseTableStreamImage(image: object): PendingFanOut | undefined {
    const stored = unfinishedMessage(image as Item);
    return stored?.cursor === undefined ? stored : undefined;
  }

  async getPendingFanOut(
    channel: string,
    offset: number,
    budget?: TimeBudget,
  ): Promise<PendingFanOut | undefined> {
    const item = await this.#item(this.#client.startRetry(budget), messageKey(channel, offset));
    return item === undefined ? undefined : unfinishedMessage(item);
  }

  /** Nothing where the message is finished already, or gone. */
  async #mark(
    channel: string,
    offset: number,
    budget: TimeBudget | undefined,
    update: object,
  ): Promise<void> {
    const marked = this.#client.call(this.#client.startRetry(budget), "UpdateItem", {
      TableName: this.#client.tableName,
      Key: messageKey(channel, offset),
      ConditionExpression: "attribute_exists(#pending)",
      ...update,
    });
    try {
      await marked;
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
    }
  }

  /** Those of the span, the oldest first: with `after` from its beginning, else up to one more than the newest. */
  async #read(retry: Retry, channel: string, epoch: string, span: Span, query: HistoryQuery): Promise<Row[]> {
    const rows: Row[] = [];
    const ascending = query.after !== undefined;
    const isEnough = () =>
      ascending ? shownOf(rows, span, query).messages.length >= query.limit : rows.length > query.limit;
    let start: QueryInput["ExclusiveStartKey"];
    if (span.first > span.last) return rows;
    do {
      const page = await this.#client.call(retry, "Query", {
        TableName: this.#client.tableName,
        KeyConditionExpression: "#channel = :channel AND #item BETWEEN :first AND :last",
        ExpressionAttributeNames: { "#channel": NAMES.channel, "#item": NAMES.item },
        ExpressionAttributeValues: {
          ":channel": { S: keyText(channel) },
          ":first": { S: messageName(span.first) },
          ":last": { S: messageName(span.last) },
        },
        ScanIndexForward: ascending,
        ConsistentRead: true,
        Limit: query.limit + 1,
        ExclusiveStartKey: start,
      });
      // What an epoch that was lost has left is none of this one.
      const found = (page.Items ?? []).map(rowOf).filter((row) => row.epoch === epoch);
      if (ascending) rows.push(...found);
      else rows.unshift(...found.reverse());
      start = page.LastEvaluatedKey;
    } while (start !== undefined && !isEnough());
    return rows;
  }

  /** A channel that is only read, by a name that anybody may make up, takes no room: it has no item. */
  async #head(retry: Retry, channel: string): Promise<Head> {
    const item = await this.#item(retry, headKey(channel));
    if (item !== undefined) return headOf(item);
    // Each time: the table may have been made anew, or restored, since this process read it last.
    return { epoch: deriveEpoch(await this.#readLife(retry), channel), offset: 0, at: 0 };
  }

  async #readLife(retry: Retry): Promise<string> {
    const item = await this.#item(retry, lifeKey());
    if (item !== undefined) return lifeOf(item);
    const life = randomUUID();
    try {
      await this.#client.call(retry, "PutItem", {
        TableName: this.#client.tableName,
        Item: lifeItem(life),
        ConditionExpression: "attribute_not_exists(#item)",
        ExpressionAttributeNames: { "#item": NAMES.item },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return life;
    } catch (error) {
      const standing = getConditionFailure(error);
      if (standing === undefined) throw error;
      return lifeOf(standing);
    }
  }

  async #item(retry: Retry, key: Item): Promise<Item | undefined> {
    const input = { TableName: this.#client.tableName, Key: key, ConsistentRead: true };
    return (await this.#client.call(retry, "GetItem", input)).Item;
  }
}
