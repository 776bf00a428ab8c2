import { createPublicKey, type KeyObject } from "node:crypto";
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import {
  anyFunction,
  atLeast,
  boolean,
  either,
  integer,
  type OptionCheck,
  type OptionChecks,
  record,
  text,
} from "../../../internal/options.ts";
import { isLoopback } from "../../../internal/this-machine.ts";
import { checkOptions, invalidOption, LiftError } from "../../errors.ts";
import { type AuthIdentity, identityFromClaims, validateIdentity } from "./identity.ts";
import { Jwks, type JwksOptions } from "./jwks.ts";

/** Verification of JWTs. Exactly one of `secret`, `publicKey` and `jwksUri` is required. */
export interface JwtOptions {
  /** Accepted algorithms, such as `["RS256"]`. A secret requires HS algorithms; a key requires others. Required. */
  readonly algorithms: readonly string[];
  /** Accepted values of the claim `iss`. Required. */
  readonly issuer: string | readonly string[];
  /** Values of which the claim `aud` must have at least one. Required. */
  readonly audience: string | readonly string[];
  /**
   * Whether to accept tokens without the claim `aud`, which the issuer may have made for another service. For issuers that
   * set none. A token with an audience must still have one of `audience`. The set-up emits a process warning. Default false.
   */
  readonly allowMissingAudience?: boolean;
  /** Secret shared with the issuer, at least as long as the hash: 32 bytes for HS256. */
  readonly secret?: string | Uint8Array;
  /** Public key or certificate in PEM. */
  readonly publicKey?: string;
  /** URL of the issuer's key set: `https:`, or `http:` on this machine. */
  readonly jwksUri?: string;
  /** Options of the key set behind `jwksUri`. */
  readonly jwks?: JwksOptions;
  /** Allowed difference between the issuer's clock and this one, in seconds. Default 5; 0 to 300. */
  readonly clockToleranceSeconds?: number;
  /**
   * Reads the identity from the verified claims. Its `expiresAt` may be earlier than the token's `exp`, never later.
   * Default: `sub`, `tenant_id`, `roles`, and `permissions` or `scope`.
   */
  readonly identity?: (claims: { readonly [claim: string]: unknown }) => AuthIdentity;
}

/** Longest delay of setTimeout, in ms. A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** In seconds. */
export const DEFAULT_CLOCK_TOLERANCE = 5;

const HMAC_BYTES: { readonly [algorithm: string]: number } = { HS256: 32, HS384: 48, HS512: 64 };
const ASYMMETRIC = /^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA|Ed25519|ML-DSA-(?:44|65|87))$/;

const texts: OptionCheck = {
  test: (value) => Array.isArray(value) && value.length > 0 && value.every(text.test),
  expected: "a non-empty array of strings",
};

const OPTIONS: OptionChecks<JwtOptions> = {
  algorithms: texts,
  issuer: either(text, texts),
  audience: either(text, texts),
  allowMissingAudience: boolean,
  secret: {
    test: (value) => typeof value === "string" || value instanceof Uint8Array,
    expected: "a string or a Uint8Array",
  },
  publicKey: text,
  jwksUri: { test: isSafeUrl, expected: "an `https:` URL, or an `http:` URL of this machine" },
  jwks: record,
  clockToleranceSeconds: {
    test: (value) => typeof value === "number" && value >= 0 && value <= 300,
    expected: "a number from 0 to 300",
  },
  identity: anyFunction,
};

const JWKS_OPTIONS: OptionChecks<JwksOptions> = {
  fetch: anyFunction,
  maxAgeMs: atLeast(1_000),
  cooldownMs: atLeast(1_000),
  timeoutMs: integer(1, MAX_TIMER_MS),
};

type Verify = (token: string, checks: JWTVerifyOptions) => Promise<JWTPayload>;

/**
 * Creates a function that verifies a JWT: its signature, `exp` (required), `nbf`, `iss` and `aud`. It resolves to the
 * token's identity, which expires no later than the token, and rejects with UNAUTHORIZED or UNAVAILABLE.
 * @throws {LiftError} INVALID_OPTION
 */
export function createJwtVerifier(
  options: JwtOptions,
  now: () => number,
): (token: string) => Promise<AuthIdentity> {
  checkOptions(options, OPTIONS, { prefix: "jwt.", required: ["algorithms", "issuer", "audience"] });
  const {
    algorithms,
    issuer,
    audience,
    allowMissingAudience = false,
    clockToleranceSeconds = DEFAULT_CLOCK_TOLERANCE,
    identity = identityFromClaims,
  } = options;
  const verify = createVerify(options, now);
  if (allowMissingAudience) {
    process.emitWarning("`jwt.allowMissingAudience` accepts tokens that the issuer made for other services", {
      code: "LIFT_MISSING_AUDIENCE",
    });
  }
  const accepted = [audience].flat();
  const checks = {
    algorithms: [...algorithms],
    issuer: typeof issuer === "string" ? issuer : [...issuer],
    ...(allowMissingAudience ? {} : { audience: accepted }),
    clockTolerance: clockToleranceSeconds,
    requiredClaims: ["exp"],
  };
  return async (token) => {
    const claims = await verifyClaims(verify, token, { ...checks, currentDate: new Date(now()) });
    // Otherwise jose has checked it.
    if (allowMissingAudience && !isMissingOrAmong(claims.aud, accepted)) {
      throw new LiftError("UNAUTHORIZED", { cause: "The token is for another audience" });
    }
    const own = validateIdentity(await identity(claims));
    // `exp` is a required claim, and jose has verified that it is a number.
    const end = claims.exp! * 1_000;
    return validateIdentity({ ...own, expiresAt: Math.min(own.expiresAt ?? end, end) });
  };
}

function isMissingOrAmong(audience: JWTPayload["aud"], accepted: readonly string[]): boolean {
  return audience === undefined || [audience].flat().some((each) => accepted.includes(each));
}

/** @throws {LiftError} UNAUTHORIZED, UNAVAILABLE */
async function verifyClaims(verify: Verify, token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return await verify(token, checks);
  } catch (thrown) {
    throw toUnauthorized(thrown);
  }
}

/** Drops the original error, because it contains the claims. */
function toUnauthorized(thrown: unknown): LiftError {
  if (thrown instanceof LiftError) return thrown;
  const cause = thrown instanceof errors.JOSEError ? thrown.code : "The token could not be checked";
  return new LiftError("UNAUTHORIZED", { cause });
}

function createVerify(options: JwtOptions, now: () => number): Verify {
  const { algorithms, secret, publicKey, jwksUri, jwks = {} } = options;
  const given = [secret, publicKey, jwksUri].filter((key) => key !== undefined);
  // Happens with `secret: process.env.NAME` when NAME is not set.
  if (given.length === 0 && Object.hasOwn(options, "secret")) return byKey(secretKey("", algorithms));
  if (given.length !== 1) {
    throw invalidOption("Set exactly one of `jwt.secret`, `jwt.publicKey` and `jwt.jwksUri`");
  }
  if (secret !== undefined) return byKey(secretKey(secret, algorithms));
  const unsupported = algorithms.find((algorithm) => !ASYMMETRIC.test(algorithm));
  if (unsupported !== undefined) {
    throw invalidOption(`\`jwt.algorithms\` has ${unsupported}, which does not work with a public key`);
  }
  if (publicKey !== undefined) return byKey(pemKey(publicKey));
  checkOptions(jwks, JWKS_OPTIONS, { prefix: "jwt.jwks." });
  const keys = new Jwks(jwksUri as string, jwks, now);
  return (token, checks) => keys.verify(token, checks);
}

function byKey(key: Uint8Array | KeyObject): Verify {
  return async (token, checks) => (await jwtVerify(token, key, checks)).payload;
}

function secretKey(secret: string | Uint8Array, algorithms: readonly string[]): Uint8Array {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  for (const algorithm of algorithms) {
    const minimum = Object.hasOwn(HMAC_BYTES, algorithm) ? HMAC_BYTES[algorithm]! : undefined;
    if (minimum === undefined) {
      throw invalidOption(`\`jwt.algorithms\` has ${algorithm}, which does not work with a secret`);
    }
    if (bytes.length < minimum) throw invalidOption(describeShortSecret(algorithm, minimum, bytes.length));
  }
  return bytes;
}

/** An empty secret is often an environment variable that is not set. */
function describeShortSecret(algorithm: string, minimum: number, length: number): string {
  const found = length === 0 ? "is empty; set the variable it comes from" : `has ${length} bytes`;
  return `\`jwt.secret\` ${found}. ${algorithm} requires at least ${minimum} bytes (openssl rand -base64 ${minimum})`;
}

function pemKey(pem: string): KeyObject {
  if (pem.includes("PRIVATE KEY"))
    throw invalidOption("`jwt.publicKey` is a private key; use the public key");
  try {
    return createPublicKey(pem);
  } catch {
    throw invalidOption("`jwt.publicKey` must be a public key or certificate in PEM");
  }
}

function isSafeUrl(value: unknown): boolean {
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const { protocol, hostname } = new URL(value);
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}
