import { hash } from "node:crypto";
import { DynamoDBClient, UpdateItemCommand, type UpdateItemCommandInput } from "@aws-sdk/client-dynamodb";
import { RateLimiterDynamo, RateLimiterRes } from "rate-limiter-flexible";
import { elapsed } from "../../../internal/elapsed.ts";
import { atLeast, integer, type OptionChecks, text, withMethods } from "../../../internal/options.ts";
import { checkOptions } from "../../errors.ts";
import type { RateLimiter } from "./memory-limiter.ts";
import { windowLength } from "./rate-counter.ts";
import { defaultRateLimits } from "./rate-limit.ts";

/** Options of `dynamoDBRateLimiter`. */
export interface DynamoDBRateLimiterOptions {
  /** Table with the string partition key `key` and TTL on `expire`; `createTables` creates one. Required. */
  readonly tableName: string;
  /** Default: a new client. */
  readonly client?: DynamoDBClient;
  /** AWS region of the new client. Default: the SDK's, from the environment. */
  readonly region?: string;
  /** Events per window; an integer from 1. Default 10. */
  readonly limit?: number;
  /** Length of a window in ms; minimum 1. A key's window begins with its first event. Default 60,000. */
  readonly windowMs?: number;
  /** Longest time of a request with the client's retries, in ms; an event makes up to two. Default 2,000; minimum 1. */
  readonly timeoutMs?: number;
}

const OPTIONS: OptionChecks<DynamoDBRateLimiterOptions> = {
  tableName: text,
  client: withMethods("send"),
  region: text,
  limit: integer(1),
  windowMs: windowLength,
  timeoutMs: atLeast(1),
};

/** DynamoDB accepts 2,048 bytes, the limiter's prefix included. */
const MAX_KEY_BYTES = 2_000;

const DEFAULT_TIMEOUT_MS = 2_000;

/** Allowed difference between the clocks of two containers. */
const CLOCK_SKEW_SECONDS = 60;

/**
 * Returns a limiter that counts in DynamoDB, for all containers together. Pass it as the `limiter` of a limit. Counting is
 * atomic, by `rate-limiter-flexible`. A container remembers a key over its limit until the window ends, so that further
 * events cost no write.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const limiter = dynamoDBRateLimiter({ tableName: "limits", limit: 10, windowMs: 60_000 });
 * app.use(webSocketRateLimit({ connects: { by: "ip", limiter } }));
 */
export function dynamoDBRateLimiter(options: DynamoDBRateLimiterOptions): RateLimiter {
  checkOptions(options, OPTIONS, { required: ["tableName"] });
  const { tableName, region, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { limit, windowMs } = { ...defaultRateLimits.connects, ...options };
  const client = options.client ?? new DynamoDBClient(region === undefined ? {} : { region });
  const updateItem = (input: UpdateItemCommandInput) => update(client, distrustingFuture(input), timeoutMs);
  const limiter = new RateLimiterDynamo({
    storeClient: { updateItem },
    tableName,
    tableCreated: true,
    // Otherwise its constructor queries DynamoDB, and a failure would be an unhandled rejection.
    ttlSet: true,
    points: limit,
    duration: windowMs / 1_000,
  });
  return new BlockingLimiter(limiter);
}

/**
 * Also replaces a window that ends later than a new one would. A container whose clock was ahead has started it, and it
 * would lock out its key until then.
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
 * Remembers the keys over the limit, so that they cost no write. The limiter's own memory uses the wall clock: a clock set
 * back by an hour would lock them out for another hour.
 */
class BlockingLimiter implements RateLimiter {
  readonly #limiter: RateLimiterDynamo;
  /** End of each key's window in monotonic ms. */
  readonly #ends = new Map<string, number>();

  constructor(limiter: RateLimiterDynamo) {
    this.#limiter = limiter;
  }

  async consume(given: string): Promise<unknown> {
    const key = storableKey(given);
    const msBeforeNext = (this.#ends.get(key) ?? 0) - elapsed();
    // `rate-limiter-flexible` rejects with an object that is not an Error, too.
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

/** Keys of a limit are short, but an application may call `limiter.consume` with a long one. */
function storableKey(key: string): string {
  return Buffer.byteLength(key) <= MAX_KEY_BYTES ? key : `#${hash("sha256", key, "base64url")}`;
}

/** Clears the timer with the request, so that a frozen function does not find it when it thaws. */
async function update(client: DynamoDBClient, input: UpdateItemCommandInput, timeoutMs: number) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  try {
    return await client.send(new UpdateItemCommand(input), { abortSignal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}
