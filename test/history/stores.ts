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
import type { FaultInjector } from "./fault-injector.ts";
import { withThrottling } from "./faulty-store.ts";

export const STORES = ["memory", "sqlite", "dynamodb"] as const;

export type StoreName = (typeof STORES)[number];

/** Location of the channels of a run. */
export type StoreConfig =
  | { readonly store: "memory" }
  | { readonly store: "sqlite"; readonly path: string }
  | { readonly store: "dynamodb"; readonly endpoint: string; readonly tables: Tables };

export interface PreparedStore {
  readonly storeConfig: StoreConfig;
  close(): Promise<void>;
}

interface Tables {
  readonly messageTableName: string;
  readonly memberTableName: string;
  readonly requestTableName: string;
  readonly scheduleTableName: string;
}

/** The stores of one server process. */
export interface OpenStore {
  readonly store: ChannelStore;
  readonly schedule: Schedule;
}

const ACCESS = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };

/** On AWS the batch window is 2 s, which is too long for the end of a run. */
const BATCH_WINDOW_MS = 300;

/** Creates tables in DynamoDB Local. */
async function createStoreTables(endpoint: string): Promise<StoreConfig> {
  const id = randomUUID();
  const tables = {
    messageTableName: `messages-${id}`,
    memberTableName: `members-${id}`,
    requestTableName: `requests-${id}`,
    scheduleTableName: `schedule-${id}`,
  };
  const client = clientAt(endpoint);
  await createTables({ client, ...tables });
  client.destroy();
  return { store: "dynamodb", endpoint, tables };
}

/** Starts what a store needs. @param folder for the database file */
export async function prepareStore(store: StoreName, folder: string): Promise<PreparedStore> {
  switch (store) {
    case "memory":
      return { storeConfig: { store }, close: async () => {} };
    case "sqlite":
      // A unique name, so that a run does not read the database of an earlier one.
      return { storeConfig: { store, path: join(folder, `${randomUUID()}.db`) }, close: async () => {} };
    case "dynamodb": {
      const { endpoint, stop } = await startDynamoDBLocal();
      return { storeConfig: await createStoreTables(endpoint), close: stop };
    }
  }
}

/** Source of the fan-out function. `undefined` when the server resumes pending messages at its start. */
export function tableStreamOf(storeConfig: StoreConfig): Omit<TableStreamOptions, "handler"> | undefined {
  if (storeConfig.store !== "dynamodb") return undefined;
  const { batchWindowSeconds: _, maxRecordAgeSeconds, ...source } = MESSAGE_TABLE_STREAM_SOURCE;
  const { endpoint, tables } = storeConfig;
  return {
    ...source,
    ...ACCESS,
    endpoint,
    tableName: tables.messageTableName,
    batchWindowMs: BATCH_WINDOW_MS,
    maxRecordAgeMs: 1_000 * maxRecordAgeSeconds,
  };
}

export function openStore(storeConfig: StoreConfig, faults: FaultInjector): OpenStore {
  switch (storeConfig.store) {
    case "memory":
      return { store: withThrottling(memoryChannelStore(), faults), schedule: memorySchedule() };
    case "sqlite":
      return {
        store: withThrottling(sqliteChannelStore({ path: storeConfig.path }), faults),
        schedule: memorySchedule(),
      };
    case "dynamodb": {
      const { scheduleTableName, ...tables } = storeConfig.tables;
      const schedule = { client: clientAt(storeConfig.endpoint), tableName: scheduleTableName };
      const client = clientAt(storeConfig.endpoint);
      throttle(client, faults);
      return { store: dynamoDBChannelStore({ ...tables, client }), schedule: dynamoDBSchedule(schedule) };
    }
  }
}

/** Throttles single requests, so that the store's own retries run. */
function throttle(client: DynamoDBClient, faults: FaultInjector): void {
  client.middlewareStack.add(
    (next) => (args) => {
      if (!faults.inject("storeThrottled")) return next(args);
      throw Object.assign(new Error("Too much at once"), { name: "ProvisionedThroughputExceededException" });
    },
    { step: "initialize" },
  );
}

function clientAt(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({ ...ACCESS, endpoint, maxAttempts: 1 });
}
