import type { QueryInput } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";

/** Maximum keys per `BatchGetItem`, a limit of DynamoDB. */
export const BATCH_SIZE = 100;

/** A conditional change of an item. Expressions name an attribute by `#` and its name. */
export interface Change {
  readonly key: Item;
  readonly set: Item;
  /** More assignments, such as `#Attempt = #Attempt + :one`. */
  readonly assign?: string;
  readonly remove?: readonly string[];
  readonly condition: string;
  readonly values?: Item;
}

/** The result of a conditional write: the item after it, or the item that made its condition fail, if there is one. */
export interface Written {
  readonly written: boolean;
  readonly item: Item | undefined;
}

/** Calls of DynamoDB, as the request store uses them. */
export class RequestTable {
  readonly client: RetryingClient;

  constructor(client: RetryingClient) {
    this.client = client;
  }

  async get(retry: Retry, key: Item): Promise<Item | undefined> {
    const { Item } = await this.client.call(retry, "GetItem", {
      TableName: this.client.tableName,
      Key: key,
      ConsistentRead: true,
    });
    return Item;
  }

  async put(retry: Retry, item: Item): Promise<void> {
    await this.client.call(retry, "PutItem", { TableName: this.client.tableName, Item: item });
  }

  async putIf(retry: Retry, item: Item, condition: string, values?: Item): Promise<Written> {
    const put = this.client.call(retry, "PutItem", {
      TableName: this.client.tableName,
      Item: item,
      ConditionExpression: condition,
      ExpressionAttributeNames: namesIn(condition),
      ExpressionAttributeValues: values,
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    });
    return outcome(put.then(() => item));
  }

  async update(retry: Retry, { key, set, assign, remove = [], condition, values }: Change): Promise<Written> {
    const names = Object.keys(set);
    const assignments = [...names.map((name) => `#${name} = :set${name}`), ...(assign ? [assign] : [])];
    const expression = [
      `SET ${assignments.join(", ")}`,
      ...(remove.length > 0 ? [`REMOVE ${remove.map((name) => `#${name}`).join(", ")}`] : []),
    ].join(" ");
    const updated = this.client.call(retry, "UpdateItem", {
      TableName: this.client.tableName,
      Key: key,
      UpdateExpression: expression,
      ConditionExpression: condition,
      ExpressionAttributeNames: namesIn(`${expression} ${condition}`),
      ExpressionAttributeValues: {
        ...values,
        ...Object.fromEntries(names.map((name) => [`:set${name}`, set[name]!])),
      },
      ReturnValues: "ALL_NEW",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    });
    return outcome(updated.then(({ Attributes }) => Attributes));
  }

  /** Reads one page. Expressions name an attribute by `#` and its name. */
  async query(
    retry: Retry,
    condition: string,
    values: Item,
    options: Omit<QueryInput, "TableName"> = {},
  ): Promise<{ readonly items: Item[]; readonly last: Item | undefined; readonly count: number }> {
    const page = await this.client.call(retry, "Query", {
      TableName: this.client.tableName,
      KeyConditionExpression: condition,
      ExpressionAttributeNames: namesIn(`${condition} ${options.FilterExpression ?? ""}`),
      ExpressionAttributeValues: values,
      ...options,
    });
    return { items: page.Items ?? [], last: page.LastEvaluatedKey, count: page.Count ?? 0 };
  }

  /** Reads at most 100 items by key, eventually consistent. Returns those that exist, in the order of the keys. */
  async batchGet(retry: Retry, keys: readonly Item[]): Promise<Item[]> {
    const found = new Map<string, Item>();
    const nameOf = (item: Item) => JSON.stringify([item.Request?.S, item.Item?.S]);
    for (let missing = [...keys]; missing.length > 0; ) {
      const { tableName } = this.client;
      const output = await this.client.call(retry, "BatchGetItem", {
        RequestItems: { [tableName]: { Keys: missing, ConsistentRead: true } },
      });
      for (const item of output.Responses?.[tableName] ?? []) found.set(nameOf(item), item);
      missing = output.UnprocessedKeys?.[tableName]?.Keys ?? [];
      if (missing.length > 0 && !(await retry.pause())) {
        throw new StoreError("STORE_UNAVAILABLE", `BatchGetItem on ${tableName} timed out`);
      }
    }
    return keys.map((key) => found.get(nameOf(key))).filter((item) => item !== undefined);
  }
}

async function outcome(write: Promise<Item | undefined>): Promise<Written> {
  try {
    return { written: true, item: await write };
  } catch (error) {
    const existing = getConditionFailure(error);
    if (existing === undefined) throw error;
    return { written: false, item: Object.keys(existing).length === 0 ? undefined : existing };
  }
}

function namesIn(expressions: string): { [name: string]: string } {
  return Object.fromEntries(
    [...expressions.matchAll(/#(\w+)/g)].map(([name, attribute]) => [name, attribute!]),
  );
}
