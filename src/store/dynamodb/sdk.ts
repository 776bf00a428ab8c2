import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ConnectionStore } from "../contracts/connections.ts";
import type { Schedule } from "../contracts/schedule.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import { channelStoreOver, type DynamoDBChannelStore } from "./channels/channel-store.ts";
import { callerOf } from "./client/connect.ts";
import type { RetryingClient } from "./client/retrying-client.ts";
import { createSdkTransport } from "./client/sdk-transport.ts";
import type { Transport } from "./client/transport.ts";
import { DynamoDBConnectionStore } from "./connections/connection-store.ts";
import {
  checkOptions,
  type DynamoDBChannelStoreOptions,
  type DynamoDBConnectionStoreOptions,
  type DynamoDBOptions,
  SDK_CHANNEL_CHECKS,
  SDK_CHECKS,
  SDK_STORE_CHECKS,
} from "./options.ts";
import { DynamoDBSchedule } from "./schedule.ts";
import { DynamoDBTicketStore } from "./tickets.ts";

export type { DynamoDBChannelStore } from "./channels/channel-store.ts";

/**
 * Connections in DynamoDB, through the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW, and
 * from `save` TOO_MANY_CONNECTIONS
 */
export function dynamoDBConnectionStore(options: DynamoDBConnectionStoreOptions): ConnectionStore {
  checkOptions(options, SDK_STORE_CHECKS);
  return new DynamoDBConnectionStore(sdkCaller(options), options);
}

/**
 * What must happen later, in DynamoDB, through the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export function dynamoDBSchedule(options: DynamoDBOptions): Schedule {
  checkOptions(options, SDK_CHECKS);
  return new DynamoDBSchedule(sdkCaller(options));
}

/**
 * One-time tickets in DynamoDB, through the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED
 */
export function dynamoDBTicketStore(options: DynamoDBOptions): TicketStore {
  checkOptions(options, SDK_CHECKS);
  return new DynamoDBTicketStore(sdkCaller(options));
}

/**
 * What Streamer keeps of its channels, in DynamoDB, through the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export function dynamoDBChannelStore(options: DynamoDBChannelStoreOptions): DynamoDBChannelStore {
  checkOptions(options, SDK_CHANNEL_CHECKS);
  return channelStoreOver(sdkTransportOf(options), options);
}

function sdkCaller(options: DynamoDBOptions): RetryingClient {
  return callerOf(sdkTransportOf(options), options);
}

function sdkTransportOf({ client, region }: Pick<DynamoDBOptions, "client" | "region">): Transport {
  return createSdkTransport(client ?? new DynamoDBClient(region === undefined ? {} : { region }));
}
