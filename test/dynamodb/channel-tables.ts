import { randomUUID } from "node:crypto";
import { type AttributeValue, DeleteItemCommand, paginateScan } from "@aws-sdk/client-dynamodb";
import { createTables, type DynamoDBChannelStoreOptions, dynamoDBChannelStore } from "lift-ws/store/dynamodb";
import { dynamoDBChannelStore as noSdkChannelStore } from "lift-ws/store/dynamodb/no-sdk";
import { CALL_TIMEOUT_MS, localClient, noSdkTarget, type TransportName } from "./connection-table.ts";

const HOUR = 60 * 60_000;

/** Tables of a channel store in the tests' DynamoDB Local, with a manual clock. */
export class ChannelTables {
  readonly messageTableName = `messages-${randomUUID()}`;
  readonly memberTableName = `members-${randomUUID()}`;
  readonly #transport: TransportName;
  /** Reads the tables without injected faults. */
  readonly #client = localClient();
  /** Not in the past: the engine has its own clock, and its TTL would delete the items. */
  #time = Math.ceil(Date.now() / HOUR) * HOUR;

  private constructor(transport: TransportName) {
    this.#transport = transport;
  }

  static async create(transport: TransportName = "AWS SDK"): Promise<ChannelTables> {
    const tables = new ChannelTables(transport);
    const { messageTableName, memberTableName } = tables;
    await createTables({ client: tables.#client, messageTableName, memberTableName });
    return tables;
  }

  readonly now = (): number => this.#time;

  readonly advance = (ms: number): void => {
    this.#time += ms;
  };

  store(options: Partial<DynamoDBChannelStoreOptions> = {}) {
    const { messageTableName, memberTableName, now } = this;
    const tables = { messageTableName, memberTableName, now, timeoutMs: CALL_TIMEOUT_MS };
    if (this.#transport === "no SDK") return noSdkChannelStore({ ...tables, ...noSdkTarget(), ...options });
    return dynamoDBChannelStore({ ...tables, client: localClient(), ...options });
  }

  /** Deletes an item of one of the tables. */
  async removeItem(table: "messages" | "members", item: Record<string, AttributeValue>): Promise<void> {
    const [TableName, keys] =
      table === "messages"
        ? [this.messageTableName, ["Channel", "Item"]]
        : [this.memberTableName, ["Group", "Item"]];
    const Key = Object.fromEntries(keys.map((name) => [name, item[name]!]));
    await this.#client.send(new DeleteItemCommand({ TableName, Key }));
  }

  async readItems(table: "messages" | "members") {
    const TableName = table === "messages" ? this.messageTableName : this.memberTableName;
    const items = [];
    for await (const page of paginateScan({ client: this.#client }, { TableName, ConsistentRead: true })) {
      items.push(...(page.Items ?? []));
    }
    return items;
  }
}
