import { hash } from "node:crypto";
import { integer, type OptionCheck, withMethods } from "../../../internal/options.ts";
import { checkOptions, invalidOption, LiftError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { MemoryLimiter, type RateLimiter } from "./memory-limiter.ts";

interface RateBase {
  /** Whether events pass when the limiter's store fails. Default: `closed` for connects, else `open`. */
  readonly onStoreFailure?: "open" | "closed";
}

/** A rate that is counted in memory. */
export interface MemoryRate extends RateBase {
  /** Events per window; an integer from 1. */
  readonly limit: number;
  /** Length of a window in ms; minimum 1. A key's window begins with its first event. */
  readonly windowMs: number;
}

/** A rate that a limiter counts, such as `dynamoDBRateLimiter` or one of `rate-limiter-flexible`. */
export interface StoredRate extends RateBase {
  /** Has its own limit and window. */
  readonly limiter: RateLimiter;
}

/** A number of events per window. */
export type Rate = MemoryRate | StoredRate;

/** Accepts the length of a window. */
export const windowLength: OptionCheck = {
  test: (value) => Number.isFinite(value) && (value as number) >= 1,
  expected: "a finite number of at least 1",
};

export const RATE_OPTIONS = {
  onStoreFailure: {
    test: (value: unknown) => value === "open" || value === "closed",
    expected: "`open` or `closed`",
  },
  limit: integer(1),
  windowMs: windowLength,
  limiter: withMethods("consume"),
};

/** Returns whether a rate has either a limit with its window or a limiter, and not both. */
export function isCompleteRate(rate: object): boolean {
  const { limit, windowMs, limiter } = rate as Partial<MemoryRate & StoredRate>;
  return limiter === undefined
    ? limit !== undefined && windowMs !== undefined
    : limit === undefined && windowMs === undefined;
}

/** SQL stores of `rate-limiter-flexible` accept keys of 255 characters with its prefix; DynamoDB accepts 2,048 bytes. */
const MAX_KEY_BYTES = 200;
const MAX_SCOPE_LENGTH = 100;

/**
 * Counts events against one rate.
 * @example
 * const uploads = new RateCounter("uploads", { limit: 5, windowMs: 60_000 }, "open", Date.now);
 * await uploads.count(ctx.connectionId, ctx.logger);
 */
export class RateCounter {
  readonly #scope: string;
  readonly #limiter: RateLimiter;
  readonly #open: boolean;

  /**
   * @param scope separates the keys of counters that share a limiter
   * @param onStoreFailure default for the rate's own `onStoreFailure`
   * @param now returns the time in ms, for a rate in memory
   * @throws {LiftError} INVALID_OPTION
   */
  constructor(scope: string, rate: Rate, onStoreFailure: "open" | "closed", now: () => number) {
    checkOptions(rate, RATE_OPTIONS);
    if (!isCompleteRate(rate)) {
      throw invalidOption("A rate requires either `limit` and `windowMs`, or `limiter`");
    }
    this.#scope = scope;
    const { limiter, limit, windowMs } = rate as Partial<MemoryRate & StoredRate>;
    // `limiter: undefined` counts as absent.
    this.#limiter = limiter ?? new MemoryLimiter(limit as number, windowMs as number, now);
    this.#open = (rate.onStoreFailure ?? onStoreFailure) === "open";
  }

  /**
   * Counts one event.
   * @throws {LiftError} RATE_LIMITED with `retryAfterMs` in its details; UNAVAILABLE when the store fails and the rate is
   * `closed`
   */
  async count(key: string, logger: Logger): Promise<void> {
    try {
      await this.#limiter.consume(this.#keyOf(key));
    } catch (thrown) {
      const retryAfterMs = retryAfter(thrown);
      if (retryAfterMs !== undefined) throw new LiftError("RATE_LIMITED", { details: { retryAfterMs } });
      if (!this.#open) throw new LiftError("UNAVAILABLE", { cause: thrown });
      logger.warn("The store of the rate limit failed; the event passes", { error: thrown });
    }
  }

  /** Hashes a long key, because a store that rejects it would let the event pass. `#` keeps it apart from short keys. */
  #keyOf(key: string): string {
    const fullKey = `${this.#scope}:${key}`;
    if (Buffer.byteLength(fullKey) <= MAX_KEY_BYTES) return fullKey;
    return `${this.#scope.slice(0, MAX_SCOPE_LENGTH)}#${hash("sha256", fullKey, "base64url")}`;
  }
}

/** Returns the wait in ms of a limiter's rejection; `undefined` when the rejection is a failure of its store. */
function retryAfter(thrown: unknown): number | undefined {
  if (thrown instanceof Error || typeof thrown !== "object" || thrown === null) return undefined;
  const { msBeforeNext } = thrown as { msBeforeNext?: unknown };
  return typeof msBeforeNext === "number" ? Math.max(Math.ceil(msBeforeNext), 0) : undefined;
}
