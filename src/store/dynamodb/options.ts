import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { AwsCredentials, AwsCredentialsProvider } from "../../aws/index.ts";
import { type Checks, checkOptions as checkAgainst } from "../check-options.ts";
import type { CallMetrics } from "./client/retrying-client.ts";

/** What every store takes, whatever it reaches DynamoDB by. */
export interface CallOptions {
  /** Default: from the environment. */
  readonly region?: string;
  /** Tells of every call to DynamoDB: `true` writes CloudWatch's embedded metric format to standard output. Default false. */
  readonly enableMetrics?: boolean | ((measure: CallMetrics) => void);
  /** ms that a call may take, retries included; less where its caller has less. Default 10,000; minimum 1. */
  readonly timeoutMs?: number;
}

/** What a store of one table takes. */
export interface TableOptions extends CallOptions {
  /** A table made by `createTables`, or like it. */
  readonly tableName: string;
}

/** What the connection store takes besides. */
export interface StoreOptions extends TableOptions {
  /**
   * Hours after its connect that DynamoDB removes a row whose `$disconnect` never came; more than 0. It is not
   * removed before it expires, nor read afterwards, whatever stands here. Default: as soon as it has expired.
   */
  readonly ttlHours?: number;
  /** From 1. A connection past it is refused with TOO_MANY_CONNECTIONS. Default: no limit, and no cost. */
  readonly maxConnections?: number;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** What the channel store takes. */
export interface ChannelOptions extends CallOptions {
  /** What was published. A table made by `createTables`, or like it. */
  readonly messageTableName: string;
  /** Who is where. */
  readonly memberTableName: string;
  /**
   * A fan-out keeps its place, and can be given up, between two pages. A page has half of this at least, but the last,
   * and half more at most. Default 500; 2 to 1,000.
   */
  readonly membersPerPage?: number;
  /** ms since the epoch: what decides whether a user's other connections are still open. Default `Date.now`. */
  readonly now?: () => number;
}

/** Through the AWS SDK. */
export interface SdkOptions {
  /** Default: one of the store's own. The `region` has no say over it. */
  readonly client?: DynamoDBClient;
}

/** Without the AWS SDK. */
export interface NoSdkOptions {
  /** Default: the region's, or what `AWS_ENDPOINT_URL_DYNAMODB` says. */
  readonly endpoint?: string;
  /** Default: those that Lambda sets in a function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider;
}

export interface DynamoDBOptions extends TableOptions, SdkOptions {}
export interface DynamoDBConnectionStoreOptions extends StoreOptions, SdkOptions {}
export interface DynamoDBChannelStoreOptions extends ChannelOptions, SdkOptions {}
export interface NoSdkDynamoDBOptions extends TableOptions, NoSdkOptions {}
export interface NoSdkConnectionStoreOptions extends StoreOptions, NoSdkOptions {}
export interface NoSdkChannelStoreOptions extends ChannelOptions, NoSdkOptions {}

const isName = (value: unknown) => typeof value === "string" && value !== "";

const CALL_CHECKS: Checks<CallOptions> = {
  region: isName,
  enableMetrics: (value) => typeof value === "boolean" || typeof value === "function",
  timeoutMs: (value) => typeof value === "number" && value >= 1 && Number.isFinite(value),
};

const TABLE_CHECKS: Checks<TableOptions> = { tableName: isName, ...CALL_CHECKS };

const CHANNEL_CHECKS: Checks<ChannelOptions> = {
  messageTableName: isName,
  memberTableName: isName,
  ...CALL_CHECKS,
  membersPerPage: (value) => Number.isInteger(value) && Number(value) >= 2 && Number(value) <= 1_000,
  now: (value) => typeof value === "function",
};

const STORE_CHECKS: Checks<StoreOptions> = {
  ...TABLE_CHECKS,
  ttlHours: (value) => typeof value === "number" && value > 0 && Number.isFinite(value),
  maxConnections: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
  now: (value) => typeof value === "function",
};

const SDK: Checks<SdkOptions> = {
  client: (value) => typeof (value as { send?: unknown } | null)?.send === "function",
};

const LEAN: Checks<NoSdkOptions> = {
  endpoint: (value) => typeof value === "string" && URL.canParse(value),
  credentials: (value) => typeof value === "function" || (typeof value === "object" && value !== null),
};

export const SDK_CHECKS: Checks<DynamoDBOptions> = { ...TABLE_CHECKS, ...SDK };
export const SDK_STORE_CHECKS: Checks<DynamoDBConnectionStoreOptions> = { ...STORE_CHECKS, ...SDK };
export const SDK_CHANNEL_CHECKS: Checks<DynamoDBChannelStoreOptions> = { ...CHANNEL_CHECKS, ...SDK };
export const LEAN_CHECKS: Checks<NoSdkDynamoDBOptions> = { ...TABLE_CHECKS, ...LEAN };
export const LEAN_STORE_CHECKS: Checks<NoSdkConnectionStoreOptions> = { ...STORE_CHECKS, ...LEAN };
export const LEAN_CHANNEL_CHECKS: Checks<NoSdkChannelStoreOptions> = { ...CHANNEL_CHECKS, ...LEAN };

/** @throws {StoreError} INVALID_OPTION */
export function checkOptions<Options extends object>(options: Options, checks: Checks<Options>): void {
  const tables = Object.keys(checks).filter((name) => name.toLowerCase().endsWith("tablename"));
  checkAgainst(options, checks, tables);
}
