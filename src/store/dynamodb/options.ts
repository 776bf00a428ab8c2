import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { StoreError } from "../errors.ts";
import type { CallMeasure } from "./caller.ts";

export interface DynamoDBConnectionStoreOptions {
  /** A table made by `createTables`, or like it. */
  readonly tableName: string;
  /** Default: the SDK's own, from the environment. Has no say over a `client`. */
  readonly region?: string;
  /**
   * Hours after its connect that DynamoDB removes a row whose `$disconnect` never came; more than 0. It is not
   * removed before it expires, nor read afterwards, whatever stands here. Default: as soon as it has expired.
   */
  readonly ttlHours?: number;
  /** From 1. A connection past it is refused with TOO_MANY_CONNECTIONS. Default: no limit, and no cost. */
  readonly maxConnections?: number;
  /** Tells of every call to DynamoDB: `true` writes CloudWatch's embedded metric format to the console. Default false. */
  readonly enableMetrics?: boolean | ((measure: CallMeasure) => void);
  /** Default: one of the store's own. */
  readonly client?: DynamoDBClient;
  /** ms that a call may take, retries included; less where its caller has less. Default 10,000; minimum 1. */
  readonly timeoutMs?: number;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: {
  readonly [name in keyof Required<DynamoDBConnectionStoreOptions>]: (value: unknown) => boolean;
} = {
  tableName: (value) => typeof value === "string" && value !== "",
  region: (value) => typeof value === "string" && value !== "",
  ttlHours: (value) => typeof value === "number" && value > 0 && Number.isFinite(value),
  maxConnections: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
  enableMetrics: (value) => typeof value === "boolean" || typeof value === "function",
  client: (value) => typeof (value as { send?: unknown } | null)?.send === "function",
  timeoutMs: (value) => typeof value === "number" && value >= 1 && Number.isFinite(value),
  now: (value) => typeof value === "function",
};

/** @throws {StoreError} INVALID_OPTION */
export function checkOptions(options: DynamoDBConnectionStoreOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) {
      throw invalid(`Unknown option ${name}; there are ${Object.keys(CHECKS).join(", ")}`);
    }
    const valid = CHECKS[name as keyof typeof CHECKS](value);
    if (value !== undefined && !valid) throw invalid(`Option ${name} is invalid: ${String(value)}`);
  }
  if (options.tableName === undefined) throw invalid("Option tableName is missing");
}

function invalid(message: string): StoreError {
  return new StoreError("INVALID_OPTION", message);
}
