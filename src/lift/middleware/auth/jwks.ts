import {
  type CryptoKey,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { createElapsed, type Elapsed } from "../../../internal/elapsed.ts";
import { LiftError } from "../../errors.ts";

/** Options of the key set behind `jwksUri`. */
export interface JwksOptions {
  /** Fetches the keys. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Time for which a fetched set is used, in ms. Default 600,000; minimum 1,000. */
  readonly maxAgeMs?: number;
  /** Shortest time between two fetches, in ms, so that forged tokens cannot cause more. Default 30,000; minimum 1,000. */
  readonly cooldownMs?: number;
  /** Longest time of a fetch in ms, an integer. Default 5,000; minimum 1. */
  readonly timeoutMs?: number;
}

type RemoteSet = ReturnType<typeof createRemoteJWKSet>;

/** Shorter than `cooldownMs`, because without keys every token is refused. */
const FIRST_COOLDOWN_MS = 1_000;

/** Bounds the work that a forged token causes. Issuers publish two to four keys during a rotation. */
const MAX_CANDIDATES = 16;

/**
 * Verifies tokens by the keys that an issuer publishes. Fetches them when first needed, when they are older than
 * `maxAgeMs`, and when no key verifies a token; at most once per `cooldownMs`, and once for all callers that wait.
 * Keeps the last good set when a fetch fails.
 *
 * jose's set fetches and selects keys. It would drop an old set, and would repeat failed fetches for every caller, so
 * this class decides when to fetch.
 */
export class Jwks {
  readonly #remote: RemoteSet;
  readonly #maxAgeMs: number;
  readonly #cooldownMs: number;
  readonly #elapsed: Elapsed;
  /** How many fetches succeeded. */
  #version = 0;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | undefined;

  /** @param now a clock in ms; a step back does not delay a fetch */
  constructor(uri: string, options: JwksOptions, now: () => number) {
    const { maxAgeMs = 600_000, cooldownMs = 30_000, timeoutMs = 5_000 } = options;
    this.#remote = createRemoteJWKSet(new URL(uri), {
      cacheMaxAge: Number.POSITIVE_INFINITY,
      cooldownDuration: Number.POSITIVE_INFINITY,
      timeoutDuration: timeoutMs,
      [customFetch]: (url, init) => (options.fetch ?? fetch)(url, init),
    });
    this.#maxAgeMs = maxAgeMs;
    this.#cooldownMs = cooldownMs;
    this.#elapsed = createElapsed(now);
  }

  /** @throws {LiftError} UNAVAILABLE; also the errors of jose for a token that it refuses */
  async verify(token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
    await this.#refresh();
    const version = this.#version;
    try {
      return await verifyBy(this.#remote, token, checks);
    } catch (error) {
      if (!needsOtherKey(error) || !(await this.#findNewer(version))) throw error;
      return verifyBy(this.#remote, token, checks);
    }
  }

  /** @throws {LiftError} UNAVAILABLE when there is no set to fall back on */
  async #refresh(): Promise<void> {
    if (this.#version === 0) return this.#fetch(FIRST_COOLDOWN_MS);
    if (this.#elapsed() - this.#fetchedAt < this.#maxAgeMs) return;
    await this.#fetch(this.#cooldownMs).catch(() => undefined);
  }

  /** Returns whether there is a newer set than `version`; `false` also when it is too early to ask again. */
  async #findNewer(version: number): Promise<boolean> {
    const tooEarly = this.#elapsed() - this.#triedAt < this.#cooldownMs;
    if (this.#version === version && (this.#pending !== undefined || !tooEarly)) {
      await this.#fetch(this.#cooldownMs);
    }
    return this.#version !== version;
  }

  /** @throws {LiftError} UNAVAILABLE */
  #fetch(cooldownMs: number): Promise<void> {
    if (this.#pending !== undefined) return this.#pending;
    if (this.#elapsed() - this.#triedAt < cooldownMs)
      return Promise.reject(unavailable("The last attempt was a moment ago"));
    this.#triedAt = this.#elapsed();
    this.#pending = this.#reload().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #reload(): Promise<void> {
    try {
      await this.#remote.reload();
    } catch (error) {
      throw unavailable(error);
    }
    this.#version++;
    this.#fetchedAt = this.#elapsed();
  }
}

async function verifyBy(set: RemoteSet, token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, set, checks)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    return verifyByAny(error, token, checks);
  }
}

/** A token without `kid`, or a key that is listed twice: the issuer does not say which key signed it. */
async function verifyByAny(
  candidates: AsyncIterable<CryptoKey>,
  token: string,
  checks: JWTVerifyOptions,
): Promise<JWTPayload> {
  let tried = 0;
  for await (const key of candidates) {
    try {
      return (await jwtVerify(token, key, checks)).payload;
    } catch (error) {
      if (!isAboutKey(error)) throw error;
    }
    if (++tried === MAX_CANDIDATES) break;
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** jose throws a TypeError for a key that it cannot use, such as one of 1,024 bits. */
function isAboutKey(error: unknown): boolean {
  return error instanceof errors.JWSSignatureVerificationFailed || !(error instanceof errors.JOSEError);
}

/** A rotated key may have the old `kid`, or none. */
function needsOtherKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

function unavailable(cause: unknown): LiftError {
  return new LiftError("UNAVAILABLE", { message: "The keys that sign tokens could not be fetched", cause });
}
