import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { startDynamoDBLocal, type TableStreamOptions } from "../../src/lambda-emulator/index.ts";
import {
  createTables,
  dynamoDBChannelStore,
  dynamoDBSchedule,
  MESSAGE_TABLE_STREAM_SOURCE,
} from "../../src/store/dynamodb/index.ts";
import type { ChannelStore, Schedule } from "../../src/store/index.ts";
import { memoryChannelStore, memorySchedule } from "../../src/store/memory/index.ts";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";
import type { Mischief } from "./fault-injector.ts";
import { throttled } from "./faulty-store.ts";

export const STORES = ["memory", "sqlite", "dynamodb"] as const;

export type StoreName = (typeof STORES)[number];

/** Where a run's channels are kept. */
export type Backing =
  | { readonly store: "memory" }
  | { readonly store: "sqlite"; readonly path: string }
  | { readonly store: "dynamodb"; readonly endpoint: string; readonly tables: Tables };

export interface OpenBacking {
  readonly backing: Backing;
  close(): Promise<void>;
}

interface Tables {
  readonly messageTableName: string;
  readonly memberTableName: string;
  readonly scheduleTableName: string;
}

/** What a process of the server has of it. */
export interface Opened {
  readonly store: ChannelStore;
  readonly schedule: Schedule;
}

const ACCESS = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };

/** The service collects for 2 s; the end of a run is not that long. */
const BATCH_WINDOW_MS = 300;

/** In a DynamoDB Local, with tables of its own. */
async function dynamoDBBacking(endpoint: string): Promise<Backing> {
  const id = randomUUID();
  const tables = {
    messageTableName: `messages-${id}`,
    memberTableName: `members-${id}`,
    scheduleTableName: `schedule-${id}`,
  };
  const client = clientAt(endpoint);
  await createTables({ client, ...tables });
  client.destroy();
  return { store: "dynamodb", endpoint, tables };
}

/** With what it needs around it. @param folder for a file */
export async function openBacking(store: StoreName, folder: string): Promise<OpenBacking> {
  switch (store) {
    case "memory":
      return { backing: { store }, close: async () => {} };
    case "sqlite":
      // A name of its own: what another run has left there is none of this one's.
      return { backing: { store, path: join(folder, `${randomUUID()}.db`) }, close: async () => {} };
    case "dynamodb": {
      const { endpoint, stop } = await startDynamoDBLocal();
      return { backing: await dynamoDBBacking(endpoint), close: stop };
    }
  }
}

/** What feeds the function that fans out what was left; `undefined`: a process looks for it when it starts. */
export function streamOf(backing: Backing): Omit<TableStreamOptions, "handler"> | undefined {
  if (backing.store !== "dynamodb") return undefined;
  const { batchWindowSeconds: _, maxRecordAgeSeconds, ...source } = MESSAGE_TABLE_STREAM_SOURCE;
  const { endpoint, tables } = backing;
  return {
    ...source,
    ...ACCESS,
    endpoint,
    tableName: tables.messageTableName,
    batchWindowMs: BATCH_WINDOW_MS,
    maxRecordAgeMs: 1_000 * maxRecordAgeSeconds,
  };
}

export function openStore(backing: Backing, mischief: Mischief): Opened {
  switch (backing.store) {
    case "memory":
      return { store: throttled(memoryChannelStore(), mischief), schedule: memorySchedule() };
    case "sqlite":
      return {
        store: throttled(sqliteChannelStore({ path: backing.path }), mischief),
        schedule: memorySchedule(),
      };
    case "dynamodb": {
      const { scheduleTableName, ...tables } = backing.tables;
      const schedule = { client: clientAt(backing.endpoint), tableName: scheduleTableName };
      const client = clientAt(backing.endpoint);
      throttle(client, mischief);
      return { store: dynamoDBChannelStore({ ...tables, client }), schedule: dynamoDBSchedule(schedule) };
    }
  }
}

/** Each request by itself, so that the store's own retries are met. */
function throttle(client: DynamoDBClient, mischief: Mischief): void {
  client.middlewareStack.add(
    (next) => (args) => {
      if (!mischief.happens("storeThrottled")) return next(args);
      throw Object.assign(new Error("Too much at once"), { name: "ProvisionedThroughputExceededException" });
    },
    { step: "initialize" },
  );
}

function clientAt(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({ ...ACCESS, endpoint, maxAttempts: 1 });
}
