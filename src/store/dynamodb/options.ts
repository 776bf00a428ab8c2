import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { AwsCredentials, AwsCredentialsProvider } from "../../aws/index.ts";
import {
  anyFunction,
  boolean,
  either,
  integer,
  type OptionCheck,
  type OptionChecks,
  text,
} from "../../internal/options.ts";
import type { CallMetrics } from "./client/metrics.ts";

/** Options of every store, with the AWS SDK and without. */
export interface CallOptions {
  /** AWS region. Default: `AWS_REGION`. */
  readonly region?: string;
  /**
   * Reports metrics of every call to DynamoDB: to a function, or with `true` to standard output in CloudWatch's embedded
   * metric format. Default `false`.
   */
  readonly enableMetrics?: boolean | ((metrics: CallMetrics) => void);
  /** Time limit of a call in ms, retries included. The caller's remaining time may shorten it. Default 10,000; minimum 1. */
  readonly timeoutMs?: number;
}

/** Options of stores with one table. */
export interface TableOptions extends CallOptions {
  /** Name of a table with the store's definition, such as one created by `createTables`. */
  readonly tableName: string;
}

/** Options of the connection store. */
export interface StoreOptions extends TableOptions {
  /**
   * Hours after the connect until DynamoDB may remove the row if `$disconnect` never arrived; more than 0. A row is
   * never removed before it expires, and never returned afterwards. Default: removable as soon as it has expired.
   */
  readonly ttlHours?: number;
  /**
   * Maximum number of connections; minimum 1. `save` rejects further ones with TOO_MANY_CONNECTIONS. Default: no
   * limit; then counting costs nothing.
   */
  readonly maxConnections?: number;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Options of the channel store. */
export interface ChannelOptions extends CallOptions {
  /** Name of the table of messages, defined by `MESSAGE_TABLE`. */
  readonly messageTableName: string;
  /** Name of the table of members, defined by `MEMBER_TABLE`. */
  readonly memberTableName: string;
  /** Name of the table of long requests, defined by `REQUEST_TABLE`. Default: none; requests are answered in place. */
  readonly requestTableName?: string;
  /**
   * Members per page. After each page a fan-out saves its progress and can be aborted. A page has 50% to 150% of this
   * number; the last may have fewer. Default 500; minimum 2, maximum 1,000.
   */
  readonly membersPerPage?: number;
  /**
   * Returns ms since the epoch, to decide whether a user's other connections are open, and whether a request has expired.
   * Default `Date.now`.
   */
  readonly now?: () => number;
}

/** Options of stores that use the AWS SDK. */
export interface SdkOptions {
  /** AWS SDK client. Default: a client of the store's own. `region` does not apply to a given client. */
  readonly client?: DynamoDBClient;
}

/** Options of stores without the AWS SDK. */
export interface NoSdkOptions {
  /** Endpoint URL. Default: `AWS_ENDPOINT_URL_DYNAMODB`, or the region's endpoint. */
  readonly endpoint?: string;
  /** Credentials, or a function that returns them. Default: those in Lambda's environment variables. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider;
}

/** Options of `dynamoDBSchedule` and `dynamoDBTicketStore`. */
export interface DynamoDBOptions extends TableOptions, SdkOptions {}
/** Options of `dynamoDBConnectionStore`. */
export interface DynamoDBConnectionStoreOptions extends StoreOptions, SdkOptions {}
/** Options of `dynamoDBChannelStore`. */
export interface DynamoDBChannelStoreOptions extends ChannelOptions, SdkOptions {}
/** Options of `dynamoDBSchedule` and `dynamoDBTicketStore` without the AWS SDK. */
export interface NoSdkDynamoDBOptions extends TableOptions, NoSdkOptions {}
/** Options of `dynamoDBConnectionStore` without the AWS SDK. */
export interface NoSdkConnectionStoreOptions extends StoreOptions, NoSdkOptions {}
/** Options of `dynamoDBChannelStore` without the AWS SDK. */
export interface NoSdkChannelStoreOptions extends ChannelOptions, NoSdkOptions {}

const finite = (isInRange: (value: number) => boolean, expected: string): OptionCheck => ({
  test: (value) => typeof value === "number" && Number.isFinite(value) && isInRange(value),
  expected,
});

const CALL_CHECKS: OptionChecks<CallOptions> = {
  region: text,
  enableMetrics: either(boolean, anyFunction),
  timeoutMs: finite((value) => value >= 1, "a number of ms from 1"),
};

export const TABLE_CHECKS: OptionChecks<TableOptions> = { tableName: text, ...CALL_CHECKS };

export const CONNECTION_STORE_CHECKS: OptionChecks<StoreOptions> = {
  ...TABLE_CHECKS,
  ttlHours: finite((value) => value > 0, "a number of hours above 0"),
  maxConnections: integer(1),
  now: anyFunction,
};

export const CHANNEL_STORE_CHECKS: OptionChecks<ChannelOptions> = {
  messageTableName: text,
  memberTableName: text,
  requestTableName: text,
  ...CALL_CHECKS,
  membersPerPage: integer(2, 1_000),
  now: anyFunction,
};
