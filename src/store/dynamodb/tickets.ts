import type { Json, JsonObject } from "../contracts/json.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import type { TimeBudget } from "../contracts/time-budget.ts";
import { getConditionFailure } from "./client/errors.ts";
import type { RetryingClient } from "./client/retrying-client.ts";
import { TICKET_ATTRIBUTES as NAMES } from "./tables.ts";

/** One-time tickets in DynamoDB. */
export class DynamoDBTicketStore implements TicketStore {
  readonly #client: RetryingClient;

  constructor(client: RetryingClient) {
    this.#client = client;
  }

  async save(hash: string, content: JsonObject, expiresAt: number, budget?: TimeBudget): Promise<void> {
    await this.#client.call(this.#client.startRetry(budget), "PutItem", {
      TableName: this.#client.tableName,
      Item: {
        [NAMES.hash]: { S: hash },
        [NAMES.content]: { S: JSON.stringify(content) },
        [NAMES.goodUntil]: { N: String(expiresAt) },
        [NAMES.expiresAt]: { N: String(Math.ceil(expiresAt / 1_000)) },
      },
    });
  }

  async take(hash: string, now: number, budget?: TimeBudget): Promise<JsonObject | undefined> {
    const removal = this.#client.call(this.#client.startRetry(budget), "DeleteItem", {
      TableName: this.#client.tableName,
      Key: { [NAMES.hash]: { S: hash } },
      ConditionExpression: "#goodUntil > :now",
      ExpressionAttributeNames: { "#goodUntil": NAMES.goodUntil },
      ExpressionAttributeValues: { ":now": { N: String(now) } },
      ReturnValues: "ALL_OLD",
    });
    try {
      const { Attributes } = await removal;
      return JSON.parse(Attributes?.[NAMES.content]?.S ?? "null") as Json as JsonObject;
    } catch (error) {
      if (getConditionFailure(error) === undefined) throw error;
      return undefined;
    }
  }
}
