import { randomUUID } from "node:crypto";
import { DynamoDBClient, paginateScan } from "@aws-sdk/client-dynamodb";
import type { Connection } from "lift-ws/store";
import {
  createTables,
  type DynamoDBConnectionStoreOptions,
  dynamoDBConnectionStore,
} from "lift-ws/store/dynamodb";
import { dynamoDBConnectionStore as noSdkConnectionStore } from "lift-ws/store/dynamodb/no-sdk";
import { inject } from "vitest";

export const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** More than a test may take: on a busy machine a call takes long. A test that waits for a call's end sets its own. */
export const CALL_TIMEOUT_MS = HOUR;

/** For a test of the timeout that a store has by default. */
export const DEFAULT_TIMEOUT = { timeoutMs: undefined as never };

/** What a store reaches DynamoDB by. */
export const TRANSPORTS = ["AWS SDK", "no SDK"] as const;

export type TransportName = (typeof TRANSPORTS)[number];

/** A table of its own in the tests' DynamoDB Local, and a time that moves when it is told to. */
export class ConnectionTable {
  readonly tableName: string;
  readonly #transport: TransportName;
  /** Sees the table as it is, whatever befalls the stores' clients. */
  readonly #client = localClient();
  /** Not in the past: the engine's own clock can't be moved, and its TTL would remove the rows. */
  #time = Math.ceil(Date.now() / HOUR) * HOUR;

  private constructor(tableName: string, transport: TransportName) {
    this.tableName = tableName;
    this.#transport = transport;
  }

  static async create(transport: TransportName = "AWS SDK"): Promise<ConnectionTable> {
    const world = new ConnectionTable(`connections-${randomUUID()}`, transport);
    await createTables({ client: world.#client, tableName: world.tableName });
    return world;
  }

  readonly now = (): number => this.#time;

  readonly advance = (ms: number): void => {
    this.#time += ms;
  };

  store(options: Partial<DynamoDBConnectionStoreOptions> = {}) {
    const { tableName, now } = this;
    const usual = { tableName, now, timeoutMs: CALL_TIMEOUT_MS };
    if (this.#transport === "no SDK") return noSdkConnectionStore({ ...usual, ...noSdkTarget(), ...options });
    return dynamoDBConnectionStore({ ...usual, client: localClient(), ...options });
  }

  createRow(id: string, overrides: Partial<Connection> = {}): Connection {
    return {
      id,
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/test",
      connectedAt: this.now(),
      expiresAt: this.now() + 130 * MINUTE,
      ...overrides,
    };
  }

  async readItems() {
    const pages = paginateScan({ client: this.#client }, { TableName: this.tableName, ConsistentRead: true });
    const items = [];
    for await (const page of pages) items.push(...(page.Items ?? []));
    return items;
  }

  /** What the shards of the count hold, all together, and each span. */
  async readCount(): Promise<number> {
    const shards = (await this.readItems()).filter((item) => item.Kind?.S === "shard");
    const numbers = shards.flatMap((shard) => Object.values(shard).map((value) => Number(value.N ?? 0)));
    if (numbers.some((number) => number < 0)) throw new Error("A count is below zero");
    return shards.reduce((sum, shard) => sum + Number(shard.Total?.N), 0);
  }

  async ids(connections: AsyncIterable<Connection>): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of connections) ids.push(id);
    return ids.sort();
  }
}

/** Where the transport without the SDK finds the tests' DynamoDB Local. */
export function noSdkTarget() {
  return { endpoint: inject("dynamoDBEndpoint"), ...LOCAL };
}

export const LOCAL = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };

/** A client that by default does not try again by itself: that is the store's to do. */
export function localClient(maxAttempts = 1): DynamoDBClient {
  return new DynamoDBClient({
    endpoint: inject("dynamoDBEndpoint"),
    ...LOCAL,
    maxAttempts,
  });
}
