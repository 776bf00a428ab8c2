import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { withMethods } from "../../internal/options.ts";
import type { ConnectionStore } from "../contracts/connections.ts";
import type { Schedule } from "../contracts/schedule.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import type { DynamoDBChannelStore } from "./channels/channel-store.ts";
import { createSdkTransport } from "./client/sdk-transport.ts";
import type {
  DynamoDBChannelStoreOptions,
  DynamoDBConnectionStoreOptions,
  DynamoDBOptions,
  SdkOptions,
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

const SDK: TransportSource<SdkOptions> = {
  checks: { client: withMethods("send") },
  open: ({ client, region }) =>
    createSdkTransport(client ?? new DynamoDBClient(region === undefined ? {} : { region })),
};

/**
 * Creates a connection store in DynamoDB that uses the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW; `save` also
 * TOO_MANY_CONNECTIONS
 * @example
 * const app = new Lift({ connectionStore: dynamoDBConnectionStore({ tableName: "connections" }) });
 */
export function dynamoDBConnectionStore(options: DynamoDBConnectionStoreOptions): ConnectionStore {
  return createConnectionStore(SDK, options);
}

/**
 * Creates a schedule in DynamoDB that uses the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 * @example
 * const app = new Lift({ schedule: dynamoDBSchedule({ tableName: "schedule" }) });
 */
export function dynamoDBSchedule(options: DynamoDBOptions): Schedule {
  return createSchedule(SDK, options);
}

/**
 * Creates a store of one-time tickets in DynamoDB that uses the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED
 * @example
 * const store = dynamoDBTicketStore({ tableName: "tickets" });
 */
export function dynamoDBTicketStore(options: DynamoDBOptions): TicketStore {
  return createTicketStore(SDK, options);
}

/**
 * Creates a channel store in DynamoDB that uses the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 * @example
 * const store = dynamoDBChannelStore({ messageTableName: "messages", memberTableName: "members" });
 */
export function dynamoDBChannelStore(options: DynamoDBChannelStoreOptions): DynamoDBChannelStore {
  return createChannelStore(SDK, options);
}

/**
 * Creates all stores of a Streamer that use the AWS SDK. The names of their tables are in the environment, where `lift-ws/cdk` puts
 * them: `CONNECTIONS_TABLE`, `SCHEDULE_TABLE`, `MESSAGES_TABLE`, `MEMBERS_TABLE` and, for long requests, `REQUESTS_TABLE`.
 * @param environment Default `process.env`
 * @throws {StoreError} INVALID_OPTION, also when a name is missing
 * @example
 * export const streamer = createStreamer({ channels: { room: {} }, ...dynamoDBStores() });
 */
export function dynamoDBStores(
  environment: { readonly [name: string]: string | undefined } = process.env,
): DynamoDBStores {
  return createStores(SDK, {}, environment);
}
