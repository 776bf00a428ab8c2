import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { createTables, dynamoDBChannelStore } from "../../src/store/dynamodb/index.ts";
import type { ChannelStore } from "../../src/store/index.ts";
import { memoryChannelStore } from "../../src/store/memory/index.ts";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";

export const STORES = ["memory", "sqlite", "dynamodb"] as const;

export type StoreName = (typeof STORES)[number];

/** Where a run's channels are kept. */
export type Backing =
  | { readonly store: "memory" }
  | { readonly store: "sqlite"; readonly path: string }
  | { readonly store: "dynamodb"; readonly endpoint: string; readonly tables: Tables };

interface Tables {
  readonly messageTableName: string;
  readonly memberTableName: string;
}

/** In a DynamoDB Local, with tables of its own. */
export async function dynamoDBBacking(endpoint: string): Promise<Backing> {
  const tables = { messageTableName: `messages-${randomUUID()}`, memberTableName: `members-${randomUUID()}` };
  const client = clientAt(endpoint);
  await createTables({ client, ...tables });
  client.destroy();
  return { store: "dynamodb", endpoint, tables };
}

export function openStore(backing: Backing): ChannelStore {
  switch (backing.store) {
    case "memory":
      return memoryChannelStore();
    case "sqlite":
      return sqliteChannelStore({ path: backing.path });
    case "dynamodb":
      return dynamoDBChannelStore({ ...backing.tables, client: clientAt(backing.endpoint) });
  }
}

function clientAt(endpoint: string): DynamoDBClient {
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  return new DynamoDBClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
}
