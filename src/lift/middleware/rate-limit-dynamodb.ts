import { DynamoDBClient, UpdateItemCommand, type UpdateItemCommandInput } from "@aws-sdk/client-dynamodb";
import { RateLimiterDynamo } from "rate-limiter-flexible";
import { checkOptions, hasMethods, isAtLeast } from "../check-options.ts";
import { LiftError } from "../errors.ts";
import type { RateLimiter } from "./memory-limiter.ts";
import { defaultRateLimits } from "./rate-limit.ts";

export interface DynamoDBRateLimiterOptions {
  /** A table with the string `key` as its partition key and TTL on `expire`: `createTables` makes one. */
  readonly tableName: string;
  /** Default: one of the limiter's own. */
  readonly client?: DynamoDBClient;
  /** Default: the SDK's own, from the environment. Has no say over a `client`. */
  readonly region?: string;
  /** Events per window; an integer from 1. Default 10. */
  readonly limit?: number;
  /** ms; minimum 1. A key's window begins with its first event. Default 60,000. */
  readonly windowMs?: number;
  /** ms that a request to DynamoDB may take, the client's retries included; an event makes up to two. Default 2,000. */
  readonly timeoutMs?: number;
}

const isText = (value: unknown) => typeof value === "string" && value !== "";

const OPTIONS = {
  tableName: isText,
  client: hasMethods("send"),
  region: isText,
  limit: (value: unknown) => Number.isInteger(value) && (value as number) >= 1,
  windowMs: (value: unknown) => Number.isFinite(value) && (value as number) >= 1,
  timeoutMs: isAtLeast(1),
};

const DEFAULT_TIMEOUT_MS = 2_000;

/**
 * Counts in DynamoDB, for all containers together: the `limiter` of a limit of `webSocketRateLimit`. Atomic, by
 * `rate-limiter-flexible`. Whoever is over the limit costs no further write where that is known: a container
 * remembers it until the key's window ends.
 * @throws {LiftError} INVALID_OPTION
 */
export function dynamoDBRateLimiter(options: DynamoDBRateLimiterOptions): RateLimiter {
  checkOptions(options, OPTIONS);
  const { tableName, region, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { limit, windowMs } = { ...defaultRateLimits.connects, ...options };
  if (tableName === undefined) throw new LiftError("INVALID_OPTION", { message: "tableName is missing" });
  const client = options.client ?? new DynamoDBClient(region === undefined ? {} : { region });
  return new RateLimiterDynamo({
    storeClient: { updateItem: (input: UpdateItemCommandInput) => update(client, input, timeoutMs) },
    tableName,
    tableCreated: true,
    // Else its constructor asks DynamoDB about it, and where that fails the rejection ends the process.
    ttlSet: true,
    points: limit,
    duration: windowMs / 1_000,
    inMemoryBlockOnConsumed: limit,
  });
}

/** The timer goes with the request: a function that is frozen in between must not find it afterwards. */
async function update(client: DynamoDBClient, input: UpdateItemCommandInput, timeoutMs: number) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  try {
    return await client.send(new UpdateItemCommand(input), { abortSignal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}
