import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ConnectionStore, Schedule, TicketStore } from "../ports.ts";
import type { Caller } from "./caller.ts";
import { channelStoreOver, type DynamoDBChannelStore } from "./channels.ts";
import { callerOf } from "./connect.ts";
import { DynamoDBConnectionStore } from "./connections.ts";
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
import { sdkTransport } from "./sdk-transport.ts";
import { DynamoDBTicketStore } from "./tickets.ts";
import type { Transport } from "./transport.ts";

export type { DynamoDBChannelStore } from "./channels.ts";

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

function sdkCaller(options: DynamoDBOptions): Caller {
  return callerOf(sdkTransportOf(options), options);
}

function sdkTransportOf({ client, region }: Pick<DynamoDBOptions, "client" | "region">): Transport {
  return sdkTransport(client ?? new DynamoDBClient(region === undefined ? {} : { region }));
}
