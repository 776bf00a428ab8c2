import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ConnectionStore } from "../ports.ts";
import { callerOf } from "./connect.ts";
import { DynamoDBConnectionStore } from "./connections.ts";
import { checkOptions, type DynamoDBConnectionStoreOptions, SDK_CHECKS } from "./options.ts";
import { sdkTransport } from "./sdk-transport.ts";

/**
 * Connections in DynamoDB, through the AWS SDK.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW, and
 * from `save` TOO_MANY_CONNECTIONS
 */
export function dynamoDBConnectionStore(options: DynamoDBConnectionStoreOptions): ConnectionStore {
  checkOptions(options, SDK_CHECKS);
  const { region } = options;
  const client = options.client ?? new DynamoDBClient(region === undefined ? {} : { region });
  return new DynamoDBConnectionStore(callerOf(sdkTransport(client), options), options);
}
