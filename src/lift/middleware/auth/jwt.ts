import { createPublicKey, type KeyObject } from "node:crypto";
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { isLoopback } from "../../../internal/this-machine.ts";
import { checkOptions, isAtLeast, isFunction } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
import { type AuthIdentity, identityFromClaims, validateIdentity } from "./identity.ts";
import { Jwks, type JwksOptions } from "./jwks.ts";

/** How JWTs are checked. Exactly one of `secret`, `publicKey` and `jwksUri`. */
export interface JwtOptions {
  /** The only ones that are taken: `["RS256"]`. A secret goes with HS…, the others with all but these. */
  readonly algorithms: readonly string[];
  /** The claim `iss`, one of these. */
  readonly issuer: string | readonly string[];
  /** The claim `aud`, one of these at least. */
  readonly audience: string | readonly string[];
  /** Shared with the issuer. At least as long as the hash: 32 bytes for HS256. */
  readonly secret?: string | Uint8Array;
  /** PEM: a public key or a certificate. */
  readonly publicKey?: string;
  /** Where the issuer publishes its keys; `https:`, or `http:` on this machine. */
  readonly jwksUri?: string;
  readonly jwks?: JwksOptions;
  /** Seconds that the issuer's clock may differ from ours. Default 5; 0 to 300. */
  readonly clockToleranceSeconds?: number;
  /**
   * Reads the identity from the checked claims. Default: `sub`, `tenant_id`, `roles`, `permissions` or `scope`. An
   * `expiresAt` in it may end the connection before the token's `exp`, never after.
   */
  readonly identity?: (claims: { readonly [claim: string]: unknown }) => AuthIdentity;
}

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Seconds. */
export const DEFAULT_CLOCK_TOLERANCE = 5;

const HMAC_BYTES: { readonly [algorithm: string]: number } = { HS256: 32, HS384: 48, HS512: 64 };
const ASYMMETRIC = /^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA|Ed25519|ML-DSA-(?:44|65|87))$/;

const isText = (value: unknown) => typeof value === "string" && value !== "";
const isTexts = (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isText);
const isObject = (value: unknown) => typeof value === "object" && value !== null;

const OPTIONS = {
  algorithms: isTexts,
  issuer: (value: unknown) => isText(value) || isTexts(value),
  audience: (value: unknown) => isText(value) || isTexts(value),
  secret: (value: unknown) => typeof value === "string" || value instanceof Uint8Array,
  publicKey: isText,
  jwksUri: isSafeUrl,
  jwks: isObject,
  clockToleranceSeconds: (value: unknown) => isAtLeast(0)(value) && (value as number) <= 300,
  identity: isFunction,
};

const JWKS_OPTIONS = {
  fetch: isFunction,
  maxAgeMs: isAtLeast(1_000),
  cooldownMs: isAtLeast(1_000),
  timeoutMs: (value: unknown) =>
    Number.isSafeInteger(value) && isAtLeast(1)(value) && Number(value) <= MAX_TIMER_MS,
};

type Verify = (token: string, checks: JWTVerifyOptions) => Promise<JWTPayload>;

/**
 * Checks JWTs: signature, `exp` (which must be there), `nbf`, `iss` and `aud`.
 * @returns reads a token's identity, which ends with the token at the latest; rejects with UNAUTHORIZED or UNAVAILABLE
 * @throws {LiftError} INVALID_OPTION
 */
export function createJwtVerifier(
  options: JwtOptions,
  now: () => number,
): (token: string) => Promise<AuthIdentity> {
  checkOptions(options, OPTIONS);
  const {
    algorithms,
    issuer,
    audience,
    clockToleranceSeconds = DEFAULT_CLOCK_TOLERANCE,
    identity = identityFromClaims,
  } = options;
  if (!algorithms || !issuer || !audience) throw invalid("jwt needs algorithms, issuer and audience");
  const verify = createVerify(options, now);
  const checks = {
    algorithms: [...algorithms],
    issuer: typeof issuer === "string" ? issuer : [...issuer],
    audience: typeof audience === "string" ? audience : [...audience],
    clockTolerance: clockToleranceSeconds,
    requiredClaims: ["exp"],
  };
  return async (token) => {
    const claims = await verifyClaims(verify, token, { ...checks, currentDate: new Date(now()) });
    const own = validateIdentity(await identity(claims));
    // Required above, and verified to be a number.
    const end = claims.exp! * 1_000;
    return validateIdentity({ ...own, expiresAt: Math.min(own.expiresAt ?? end, end) });
  };
}

/** @throws {LiftError} UNAUTHORIZED, UNAVAILABLE */
async function verifyClaims(verify: Verify, token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return await verify(token, checks);
  } catch (thrown) {
    throw toUnauthorized(thrown);
  }
}

/** The error itself is not kept: it has the claims in it. */
function toUnauthorized(thrown: unknown): LiftError {
  if (thrown instanceof LiftError) return thrown;
  const cause = thrown instanceof errors.JOSEError ? thrown.code : "The token could not be checked";
  return new LiftError("UNAUTHORIZED", { cause });
}

function createVerify(options: JwtOptions, now: () => number): Verify {
  const { algorithms, secret, publicKey, jwksUri, jwks = {} } = options;
  const given = [secret, publicKey, jwksUri].filter((key) => key !== undefined);
  // `secret: process.env.NAME`, and NAME is not set.
  if (given.length === 0 && Object.hasOwn(options, "secret")) return byKey(secretKey("", algorithms));
  if (given.length !== 1) {
    throw invalid("jwt needs exactly one of secret, publicKey and jwksUri");
  }
  if (secret !== undefined) return byKey(secretKey(secret, algorithms));
  const strange = algorithms.find((algorithm) => !ASYMMETRIC.test(algorithm));
  if (strange !== undefined) throw invalid(`${strange} is no algorithm of a public key`);
  if (publicKey !== undefined) return byKey(pemKey(publicKey));
  checkOptions(jwks, JWKS_OPTIONS);
  const keys = new Jwks(jwksUri as string, jwks, now);
  return (token, checks) => keys.verify(token, checks);
}

function byKey(key: Uint8Array | KeyObject): Verify {
  return async (token, checks) => (await jwtVerify(token, key, checks)).payload;
}

function secretKey(secret: string | Uint8Array, algorithms: readonly string[]): Uint8Array {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  for (const algorithm of algorithms) {
    const atLeast = Object.hasOwn(HMAC_BYTES, algorithm) ? HMAC_BYTES[algorithm]! : undefined;
    if (atLeast === undefined) throw invalid(`${algorithm} is no algorithm of a secret`);
    if (bytes.length < atLeast) throw invalid(tooShort(algorithm, atLeast, bytes.length));
  }
  return bytes;
}

/** Often it is a variable that is not set where the app runs. */
function tooShort(algorithm: string, atLeast: number, length: number): string {
  const found = length === 0 ? "is empty: set the variable it comes from" : `has ${length} bytes`;
  return `jwt.secret ${found}. ${algorithm} needs ${atLeast} bytes or more (openssl rand -base64 ${atLeast})`;
}

function pemKey(pem: string): KeyObject {
  if (pem.includes("PRIVATE KEY")) throw invalid("publicKey holds a private key");
  try {
    return createPublicKey(pem);
  } catch {
    throw invalid("publicKey is no PEM of a public key or a certificate");
  }
}

function isSafeUrl(value: unknown): boolean {
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const { protocol, hostname } = new URL(value);
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}

function invalid(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}
