import { hash } from "node:crypto";
import { checkOptions, hasMethods } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { MemoryLimiter, type RateLimiter } from "./memory-limiter.ts";

interface RateBase {
  /** Whether something passes when the limiter's store fails. Default: `closed` for connects, else `open`. */
  readonly onStoreFailure?: "open" | "closed";
}

/** Counted in this process's memory. */
export interface MemoryRate extends RateBase {
  /** Events per window; an integer from 1. */
  readonly limit: number;
  /** ms; minimum 1. A key's window begins with its first event. */
  readonly windowMs: number;
}

/** Counted by a limiter of `rate-limiter-flexible`, in DynamoDB for one: its limit and window are its own. */
export interface StoredRate extends RateBase {
  readonly limiter: RateLimiter;
}

export type Rate = MemoryRate | StoredRate;

export const RATE_OPTIONS = {
  onStoreFailure: (value: unknown) => value === "open" || value === "closed",
  limit: (value: unknown) => Number.isInteger(value) && (value as number) >= 1,
  windowMs: (value: unknown) => Number.isFinite(value) && (value as number) >= 1,
  limiter: hasMethods("consume"),
};

/** Whether a rate is counted in one way, and in one only. */
export function isCompleteRate(rate: object): boolean {
  const { limit, windowMs, limiter } = rate as Partial<MemoryRate & StoredRate>;
  return limiter === undefined
    ? limit !== undefined && windowMs !== undefined
    : limit === undefined && windowMs === undefined;
}

/** SQL stores of `rate-limiter-flexible` take 255 characters, its prefix included; DynamoDB takes 2,048 bytes. */
const MAX_KEY_BYTES = 200;
const MAX_SCOPE_LENGTH = 100;

/** One rate, at work. */
export class RateCounter {
  readonly #scope: string;
  readonly #limiter: RateLimiter;
  readonly #open: boolean;

  /**
   * @param scope keeps the keys of two counters apart that share a limiter
   * @param onStoreFailure where the rate says nothing of it
   * @throws {LiftError} INVALID_OPTION
   */
  constructor(scope: string, rate: Rate, onStoreFailure: "open" | "closed", now: () => number) {
    checkOptions(rate, RATE_OPTIONS);
    if (!isCompleteRate(rate)) {
      throw new LiftError("INVALID_OPTION", {
        message: "A rate needs either a limit and its windowMs or a limiter",
      });
    }
    this.#scope = scope;
    const { limiter, limit, windowMs } = rate as Partial<MemoryRate & StoredRate>;
    // One that is there, and undefined, is none.
    this.#limiter = limiter ?? new MemoryLimiter(limit as number, windowMs as number, now);
    this.#open = (rate.onStoreFailure ?? onStoreFailure) === "open";
  }

  /** @throws {LiftError} RATE_LIMITED, UNAVAILABLE */
  async count(key: string, logger: Logger): Promise<void> {
    try {
      await this.#limiter.consume(this.#keyOf(key));
    } catch (thrown) {
      const retryAfterMs = waitOf(thrown);
      if (retryAfterMs !== undefined) throw new LiftError("RATE_LIMITED", { details: { retryAfterMs } });
      if (!this.#open) throw new LiftError("UNAVAILABLE", { cause: thrown });
      logger.warn("The rate limit's store failed; the event passes", { error: thrown });
    }
  }

  /** A store that refuses a long key would let its event pass. Short keys have a `:` there, so none is a long one's. */
  #keyOf(key: string): string {
    const whole = `${this.#scope}:${key}`;
    if (Buffer.byteLength(whole) <= MAX_KEY_BYTES) return whole;
    return `${this.#scope.slice(0, MAX_SCOPE_LENGTH)}#${hash("sha256", whole, "base64url")}`;
  }
}

/** How long a refusal says to wait, in ms; `undefined`: it is no refusal but a failure. */
function waitOf(thrown: unknown): number | undefined {
  if (thrown instanceof Error || typeof thrown !== "object" || thrown === null) return undefined;
  const { msBeforeNext } = thrown as { msBeforeNext?: unknown };
  return typeof msBeforeNext === "number" ? Math.max(Math.ceil(msBeforeNext), 0) : undefined;
}
