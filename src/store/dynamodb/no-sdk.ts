import type { ConnectionStore } from "../contracts/connections.ts";
import type { Schedule } from "../contracts/schedule.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import { channelStoreOver, type DynamoDBChannelStore } from "./channels/channel-store.ts";
import { callerOf } from "./client/connect.ts";
import { createNoSdkTransport } from "./client/no-sdk-transport.ts";
import { DynamoDBConnectionStore } from "./connections/connection-store.ts";
import {
  checkOptions,
  LEAN_CHANNEL_CHECKS,
  LEAN_CHECKS,
  LEAN_STORE_CHECKS,
  type NoSdkChannelStoreOptions,
  type NoSdkConnectionStoreOptions,
  type NoSdkDynamoDBOptions,
} from "./options.ts";
import { DynamoDBSchedule } from "./schedule.ts";
import { DynamoDBTicketStore } from "./tickets.ts";

export type { DynamoDBChannelStore } from "./channels/channel-store.ts";
export type { CallMetrics } from "./client/retrying-client.ts";
export type {
  NoSdkChannelStoreOptions,
  NoSdkConnectionStoreOptions,
  NoSdkDynamoDBOptions,
} from "./options.ts";

/**
 * Connections in DynamoDB, as those of `lift-ws/store/dynamodb` and in the same table, without the AWS SDK: its
 * requests are signed here.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW, and
 * from `save` TOO_MANY_CONNECTIONS
 */
export function dynamoDBConnectionStore(options: NoSdkConnectionStoreOptions): ConnectionStore {
  checkOptions(options, LEAN_STORE_CHECKS);
  return new DynamoDBConnectionStore(callerOf(createNoSdkTransport(options), options), options);
}

/**
 * What must happen later, in the same table as the SDK's.
 * @throws {StoreError} as `dynamoDBSchedule` of `lift-ws/store/dynamodb` does
 */
export function dynamoDBSchedule(options: NoSdkDynamoDBOptions): Schedule {
  checkOptions(options, LEAN_CHECKS);
  return new DynamoDBSchedule(callerOf(createNoSdkTransport(options), options));
}

/**
 * One-time tickets, in the same table as the SDK's.
 * @throws {StoreError} as `dynamoDBTicketStore` of `lift-ws/store/dynamodb` does
 */
export function dynamoDBTicketStore(options: NoSdkDynamoDBOptions): TicketStore {
  checkOptions(options, LEAN_CHECKS);
  return new DynamoDBTicketStore(callerOf(createNoSdkTransport(options), options));
}

/**
 * What Streamer keeps of its channels, in the same tables as the SDK's.
 * @throws {StoreError} as `dynamoDBChannelStore` of `lift-ws/store/dynamodb` does
 */
export function dynamoDBChannelStore(options: NoSdkChannelStoreOptions): DynamoDBChannelStore {
  checkOptions(options, LEAN_CHANNEL_CHECKS);
  return channelStoreOver(createNoSdkTransport(options), options);
}
