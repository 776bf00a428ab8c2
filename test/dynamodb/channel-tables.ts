import { randomUUID } from "node:crypto";
import { type AttributeValue, DeleteItemCommand, paginateScan } from "@aws-sdk/client-dynamodb";
import {
  type DynamoDBChannelStoreOptions,
  dynamoDBChannelStore,
  MEMBER_TABLE,
  MESSAGE_TABLE,
} from "lift-ws/store/dynamodb";
import { dynamoDBChannelStore as noSdkChannelStore } from "lift-ws/store/dynamodb/no-sdk";
import {
  CALL_TIMEOUT_MS,
  createTable,
  localClient,
  noSdkTarget,
  type TableOptions,
  type TransportName,
} from "./connection-table.ts";

const HOUR = 60 * 60_000;

/** Tables of a channel store in the tests' DynamoDB Local, with a manual clock. */
export class ChannelTables {
  readonly messageTableName = `messages-${randomUUID()}`;
  readonly memberTableName = `members-${randomUUID()}`;
  readonly #transport: TransportName;
  /** Reads the tables without injected faults. */
  readonly #client = localClient();
  /** Close to the engine's clock, which dates the records of streams. */
  #time = Math.ceil(Date.now() / HOUR) * HOUR;

  private constructor(transport: TransportName) {
    this.#transport = transport;
  }

  static async create(
    transport: TransportName = "AWS SDK",
    options: TableOptions = {},
  ): Promise<ChannelTables> {
    const tables = new ChannelTables(transport);
    const { messageTableName, memberTableName } = tables;
    await createTable(messageTableName, MESSAGE_TABLE, options);
    await createTable(memberTableName, MEMBER_TABLE);
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
