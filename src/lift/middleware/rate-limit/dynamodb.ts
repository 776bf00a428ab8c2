import { hash } from "node:crypto";
import { DynamoDBClient, UpdateItemCommand, type UpdateItemCommandInput } from "@aws-sdk/client-dynamodb";
import { RateLimiterDynamo, RateLimiterRes } from "rate-limiter-flexible";
import { elapsed } from "../../../internal/elapsed.ts";
import { checkOptions, hasMethods, isAtLeast } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
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

/** DynamoDB takes 2,048 bytes, the limiter's prefix included. */
const MAX_KEY_BYTES = 2_000;

const DEFAULT_TIMEOUT_MS = 2_000;

/** Allowed difference between the clocks of two containers, in ms. */
const CLOCK_SKEW_SECONDS = 60;

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
  const updateItem = (input: UpdateItemCommandInput) => update(client, distrustingFuture(input), timeoutMs);
  const limiter = new RateLimiterDynamo({
    storeClient: { updateItem },
    tableName,
    tableCreated: true,
    // Else its constructor asks DynamoDB about it, and where that fails the rejection ends the process.
    ttlSet: true,
    points: limit,
    duration: windowMs / 1_000,
  });
  return new BlockingLimiter(limiter);
}

/**
 * Ends a window too that ends later than a window from now: a container whose clock is ahead, or was, has begun it, and
 * it would lock its key out for as long.
 */
function distrustingFuture(input: UpdateItemCommandInput): UpdateItemCommandInput {
  const { ConditionExpression, ExpressionAttributeValues } = input;
  const end = Number(ExpressionAttributeValues?.[":new_expire"]?.N);
  if (ConditionExpression === undefined || !Number.isFinite(end)) return input;
  return {
    ...input,
    ConditionExpression: `${ConditionExpression} OR expire > :latest_expire`,
    ExpressionAttributeValues: {
      ...ExpressionAttributeValues,
      ":latest_expire": { N: String(end + CLOCK_SKEW_SECONDS) },
    },
  };
}

/**
 * Remembers which keys are over the limit, so that they cost no write. The limiter's own memory goes by the wall
 * clock: one that is set back by an hour would lock them out for an hour more.
 */
class BlockingLimiter implements RateLimiter {
  readonly #limiter: RateLimiterDynamo;
  /** Elapsed ms at which each key's window ends. */
  readonly #ends = new Map<string, number>();

  constructor(limiter: RateLimiterDynamo) {
    this.#limiter = limiter;
  }

  async consume(given: string): Promise<unknown> {
    const key = storableKey(given);
    const msBeforeNext = (this.#ends.get(key) ?? 0) - elapsed();
    // As `rate-limiter-flexible` rejects: with what is no Error.
    if (msBeforeNext > 0) return Promise.reject({ msBeforeNext });
    try {
      const counted = await this.#limiter.consume(key);
      if (counted.remainingPoints === 0) this.#block(key, counted);
      return counted;
    } catch (thrown) {
      if (thrown instanceof RateLimiterRes) this.#block(key, thrown);
      throw thrown;
    }
  }

  #block(key: string, { msBeforeNext }: RateLimiterRes): void {
    const now = elapsed();
    for (const [blocked, end] of this.#ends) {
      if (end > now) break;
      this.#ends.delete(blocked);
    }
    this.#ends.delete(key);
    this.#ends.set(key, now + msBeforeNext);
  }
}

/** A limit's own keys are short; those that an application counts by `limiter.consume` may not be. */
function storableKey(key: string): string {
  return Buffer.byteLength(key) <= MAX_KEY_BYTES ? key : `#${hash("sha256", key, "base64url")}`;
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
