import { randomUUID } from "node:crypto";
import { CreateTableCommand, DynamoDBClient, paginateScan } from "@aws-sdk/client-dynamodb";
import type { Connection } from "lift-ws/store";
import {
  CONNECTION_TABLE,
  createTableInput,
  type DynamoDBConnectionStoreOptions,
  dynamoDBConnectionStore,
  type TableDefinition,
} from "lift-ws/store/dynamodb";
import { dynamoDBConnectionStore as noSdkConnectionStore } from "lift-ws/store/dynamodb/no-sdk";
import { inject } from "vitest";

export const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Longer than a test: calls are slow on a busy machine. Tests of timeouts set their own. */
export const CALL_TIMEOUT_MS = HOUR;

/** For tests of the store's default timeout. */
export const DEFAULT_TIMEOUT = { timeoutMs: undefined as never };

/** Transports of a store. */
export const TRANSPORTS = ["AWS SDK", "no SDK"] as const;

export type TransportName = (typeof TRANSPORTS)[number];

/** A connection table in the tests' DynamoDB Local, with a manual clock. */
export class ConnectionTable {
  readonly tableName: string;
  readonly #transport: TransportName;
  /** Reads the table without injected faults. */
  readonly #client = localClient();
  /** Close to the engine's clock, which dates the records of streams. */
  #time = Math.ceil(Date.now() / HOUR) * HOUR;

  private constructor(tableName: string, transport: TransportName) {
    this.tableName = tableName;
    this.#transport = transport;
  }

  static async create(transport: TransportName = "AWS SDK"): Promise<ConnectionTable> {
    const tables = new ConnectionTable(`connections-${randomUUID()}`, transport);
    await createTable(tables.tableName, CONNECTION_TABLE);
    return tables;
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

  /** Sum of the count's shards. Throws when a shard or a time span is negative. */
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

/**
 * Creates a table in one request: without TTL, because tests move their own clock, and by default without its stream.
 * DynamoDB Local reads all stream records that it holds in each call for a table with a stream.
 */
export async function createTable(
  name: string,
  table: TableDefinition,
  { tableStream = false }: TableOptions = {},
): Promise<void> {
  const { StreamSpecification, ...input } = createTableInput(name, table);
  await localClient().send(new CreateTableCommand({ ...input, ...(tableStream && { StreamSpecification }) }));
}

export interface TableOptions {
  /** Whether the table has its stream. Default: false. */
  readonly tableStream?: boolean;
}

/** Options of the transport without the SDK for the tests' DynamoDB Local. */
export function noSdkTarget() {
  return { endpoint: inject("dynamoDBEndpoint"), ...LOCAL };
}

export const LOCAL = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };

/** A client without its own retries by default, because the store retries. */
export function localClient(maxAttempts = 1): DynamoDBClient {
  return new DynamoDBClient({
    endpoint: inject("dynamoDBEndpoint"),
    ...LOCAL,
    maxAttempts,
  });
}
