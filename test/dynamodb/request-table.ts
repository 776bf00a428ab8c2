import { randomUUID } from "node:crypto";
import { paginateScan } from "@aws-sdk/client-dynamodb";
import {
  type DynamoDBChannelStoreOptions,
  type DynamoDBRequestStore,
  dynamoDBChannelStore,
  REQUEST_TABLE,
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

/** A table of requests in the tests' DynamoDB Local, with a manual clock. */
export class RequestTableUnderTest {
  readonly requestTableName = `requests-${randomUUID()}`;
  readonly #transport: TransportName;
  /** Reads the table without injected faults. */
  readonly #client = localClient();
  /** Close to the engine's clock, which dates the records of streams. */
  #time = Math.ceil(Date.now() / HOUR) * HOUR;

  private constructor(transport: TransportName) {
    this.#transport = transport;
  }

  static async create(
    transport: TransportName = "AWS SDK",
    options: TableOptions = {},
  ): Promise<RequestTableUnderTest> {
    const table = new RequestTableUnderTest(transport);
    await createTable(table.requestTableName, REQUEST_TABLE, options);
    return table;
  }

  readonly now = (): number => this.#time;

  readonly advance = (ms: number): void => {
    this.#time += ms;
  };

  readonly store = (options: Partial<DynamoDBChannelStoreOptions> = {}): DynamoDBRequestStore => {
    const { requestTableName, now } = this;
    const others = { messageTableName: "none", memberTableName: "none" };
    const usual = { ...others, requestTableName, now, timeoutMs: CALL_TIMEOUT_MS };
    const { requests } =
      this.#transport === "no SDK"
        ? noSdkChannelStore({ ...usual, ...noSdkTarget(), ...options })
        : dynamoDBChannelStore({ ...usual, client: localClient(), ...options });
    if (requests === undefined) throw new Error("The store has no requests");
    return requests;
  };

  async readItems() {
    const TableName = this.requestTableName;
    const items = [];
    for await (const page of paginateScan({ client: this.#client }, { TableName, ConsistentRead: true })) {
      items.push(...(page.Items ?? []));
    }
    return items;
  }
}
