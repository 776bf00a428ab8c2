import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { LiftError } from "../errors.ts";

export interface JwksOptions {
  /** Fetches the keys. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** ms that a set is used without asking again. Default 600,000; minimum 1,000. */
  readonly maxAgeMs?: number;
  /** ms between two fetches at least, whatever clients send. Default 30,000; minimum 1,000. */
  readonly cooldownMs?: number;
  /** ms that a fetch may take. Default 5,000; minimum 1. */
  readonly timeoutMs?: number;
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** While there are no keys nobody gets in, so the wait is shorter. */
const FIRST_COOLDOWN_MS = 1_000;

/**
 * The keys that an issuer publishes. Fetched when first needed, again when they are old, and when a token names a
 * key that is not among them; never more often than the cooldown allows, and once for all who wait. When a fetch
 * fails the last good set stays.
 */
export class Jwks {
  readonly #uri: string;
  readonly #options: Required<JwksOptions>;
  readonly #now: () => number;
  #set: KeySet | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #pending: Promise<KeySet> | undefined;

  constructor(uri: string, options: JwksOptions, now: () => number) {
    this.#uri = uri;
    this.#now = now;
    this.#options = {
      fetch: (input, init) => fetch(input, init),
      maxAgeMs: 600_000,
      cooldownMs: 30_000,
      timeoutMs: 5_000,
      ...options,
    };
  }

  /** @throws {LiftError} UNAVAILABLE; as jose does where no key fits */
  readonly key: JWTVerifyGetKey = async (header) => {
    const set = await this.#current();
    try {
      return await set(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const newer = await this.#newerThan(set);
      if (newer === undefined) throw error;
      return newer(header);
    }
  };

  async #current(): Promise<KeySet> {
    const set = this.#set;
    if (set === undefined) return this.#fetch(FIRST_COOLDOWN_MS);
    if (this.#now() - this.#fetchedAt < this.#options.maxAgeMs) return set;
    return this.#fetch(this.#options.cooldownMs).catch(() => set);
  }

  /** For a key that `set` has not: `undefined` when it is too early to ask again. */
  async #newerThan(set: KeySet): Promise<KeySet | undefined> {
    if (this.#set !== set) return this.#set;
    const tooEarly = this.#now() - this.#triedAt < this.#options.cooldownMs;
    if (tooEarly && this.#pending === undefined) return undefined;
    return this.#fetch(this.#options.cooldownMs);
  }

  /** @throws {LiftError} UNAVAILABLE */
  #fetch(cooldownMs: number): Promise<KeySet> {
    if (this.#pending !== undefined) return this.#pending;
    if (this.#now() - this.#triedAt < cooldownMs) return Promise.reject(unavailable("asked a moment ago"));
    this.#triedAt = this.#now();
    this.#pending = this.#download().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #download(): Promise<KeySet> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), this.#options.timeoutMs);
    try {
      const response = await this.#options.fetch(this.#uri, {
        headers: { accept: "application/json, application/jwk-set+json" },
        redirect: "error",
        signal: controller.signal,
      });
      if (!response.ok) throw new Error(`The issuer answered ${response.status}`);
      this.#set = createLocalJWKSet((await response.json()) as JSONWebKeySet);
      this.#fetchedAt = this.#now();
      return this.#set;
    } catch (error) {
      throw unavailable(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

function unavailable(cause: unknown): LiftError {
  return new LiftError("UNAVAILABLE", { message: "The keys that sign tokens could not be fetched", cause });
}
