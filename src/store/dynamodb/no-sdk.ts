import type { OptionCheck } from "../../internal/options.ts";
import type { ConnectionStore } from "../contracts/connections.ts";
import type { Schedule } from "../contracts/schedule.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import type { DynamoDBChannelStore } from "./channels/channel-store.ts";
import { createNoSdkTransport } from "./client/no-sdk-transport.ts";
import type {
  NoSdkChannelStoreOptions,
  NoSdkConnectionStoreOptions,
  NoSdkDynamoDBOptions,
  NoSdkOptions,
} from "./options.ts";
import {
  createChannelStore,
  createConnectionStore,
  createSchedule,
  createStores,
  createTicketStore,
  type DynamoDBStores,
  type TransportSource,
} from "./stores.ts";

export type { DynamoDBChannelStore } from "./channels/channel-store.ts";
export type { CallMetrics } from "./client/metrics.ts";
export type {
  NoSdkChannelStoreOptions,
  NoSdkConnectionStoreOptions,
  NoSdkDynamoDBOptions,
} from "./options.ts";
export type { DynamoDBStores } from "./stores.ts";

const url: OptionCheck = {
  test: (value) => typeof value === "string" && URL.canParse(value),
  expected: "a URL",
};
const credentials: OptionCheck = {
  test: (value) => typeof value === "function" || (typeof value === "object" && value !== null),
  expected: "credentials or a function that returns them",
};

const NO_SDK: TransportSource<NoSdkOptions> = {
  checks: { endpoint: url, credentials },
  open: createNoSdkTransport,
};

/**
 * Creates a connection store in DynamoDB without the AWS SDK. It uses the same table format as
 * `lift-ws/store/dynamodb`.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW; `save` also
 * TOO_MANY_CONNECTIONS
 * @example
 * const app = new Lift({ connectionStore: dynamoDBConnectionStore({ tableName: "connections" }) });
 */
export function dynamoDBConnectionStore(options: NoSdkConnectionStoreOptions): ConnectionStore {
  return createConnectionStore(NO_SDK, options);
}

/**
 * Creates a schedule in DynamoDB without the AWS SDK. It uses the same table format as `lift-ws/store/dynamodb`.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 * @example
 * const app = new Lift({ schedule: dynamoDBSchedule({ tableName: "schedule" }) });
 */
export function dynamoDBSchedule(options: NoSdkDynamoDBOptions): Schedule {
  return createSchedule(NO_SDK, options);
}

/**
 * Creates a store of one-time tickets in DynamoDB without the AWS SDK. It uses the same table format as
 * `lift-ws/store/dynamodb`.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED
 * @example
 * const store = dynamoDBTicketStore({ tableName: "tickets" });
 */
export function dynamoDBTicketStore(options: NoSdkDynamoDBOptions): TicketStore {
  return createTicketStore(NO_SDK, options);
}

/**
 * Creates a channel store in DynamoDB without the AWS SDK. It uses the same table formats as
 * `lift-ws/store/dynamodb`.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 * @example
 * const store = dynamoDBChannelStore({ messageTableName: "messages", memberTableName: "members" });
 */
export function dynamoDBChannelStore(options: NoSdkChannelStoreOptions): DynamoDBChannelStore {
  return createChannelStore(NO_SDK, options);
}

/**
 * Creates all stores of a Streamer without the AWS SDK. The names of their tables are in the environment, where `lift-ws/cdk` puts
 * them: `CONNECTIONS_TABLE`, `SCHEDULE_TABLE`, `MESSAGES_TABLE`, `MEMBERS_TABLE` and, for long requests, `REQUESTS_TABLE`.
 * @param environment Default `process.env`
 * @throws {StoreError} INVALID_OPTION, also when a name is missing
 * @example
 * export const streamer = createStreamer({ channels: { room: {} }, ...dynamoDBStores() });
 */
export function dynamoDBStores(
  environment: { readonly [name: string]: string | undefined } = process.env,
): DynamoDBStores {
  return createStores(NO_SDK, {}, environment);
}
