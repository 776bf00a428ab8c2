import type { ConnectEvent, MessageEvent } from "../../../apigw/index.ts";
import { anyFunction, record } from "../../../internal/options.ts";
import { invalidOption, LiftError } from "../../errors.ts";
import { expiryTime } from "./expiry.ts";
import { type AuthIdentity, validateIdentity } from "./identity.ts";
import { createJwtVerifier, DEFAULT_CLOCK_TOLERANCE, type JwtOptions } from "./jwt.ts";

/**
 * Verifies a token and returns its user's id or the whole identity. It throws, or returns `undefined`, to refuse the token.
 * `event` is the `$connect` or refresh message that has the token; `undefined` for a ticket request.
 */
export type ValidateToken = (
  token: string,
  event: ConnectEvent | MessageEvent | undefined,
) => string | AuthIdentity | undefined | Promise<string | AuthIdentity | undefined>;

/** Verification of tokens. Exactly one of `jwt` and `validateToken` is required. */
export interface TokenOptions {
  /** Verifies tokens as JWTs. */
  readonly jwt?: JwtOptions;
  /** Verifies tokens by the application's own means. */
  readonly validateToken?: ValidateToken;
  /** Returns the time in ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

export const VERIFIER_OPTIONS = {
  jwt: record,
  validateToken: anyFunction,
  now: anyFunction,
};

export interface Verifier {
  /** Rejects with UNAUTHORIZED or UNAVAILABLE. */
  verify(token: string, event: ConnectEvent | MessageEvent | undefined): Promise<AuthIdentity>;
  /** Returns whether there is an identity and it has not expired. */
  isCurrent(identity: AuthIdentity | undefined): boolean;
  readonly now: () => number;
  /** Time after its expiry for which a token is still accepted, in ms. */
  readonly toleranceMs: number;
}

/** @throws {LiftError} INVALID_OPTION */
export function createVerifier({ jwt, validateToken, now = Date.now }: TokenOptions): Verifier {
  if ((jwt === undefined) === (validateToken === undefined)) {
    throw invalidOption("Set exactly one of `jwt` and `validateToken`");
  }
  if (jwt === undefined) return callbackVerifier(validateToken!, now);
  const toleranceMs = (jwt.clockToleranceSeconds ?? DEFAULT_CLOCK_TOLERANCE) * 1_000;
  return toVerifier(createJwtVerifier(jwt, now), toleranceMs, now);
}

export function callbackVerifier(validateToken: ValidateToken, now: () => number): Verifier {
  return toVerifier(verifyByCallback(validateToken), 0, now);
}

function toVerifier(verify: Verifier["verify"], toleranceMs: number, now: () => number): Verifier {
  return {
    verify,
    isCurrent: (identity) => {
      const end = expiryTime(identity?.expiresAt, toleranceMs);
      return identity !== undefined && (end === undefined || end > now());
    },
    now,
    toleranceMs,
  };
}

function verifyByCallback(validateToken: ValidateToken): Verifier["verify"] {
  return async (token, event) => {
    try {
      return validateIdentity(await validateToken(token, event));
    } catch (thrown) {
      if (thrown instanceof LiftError) throw thrown;
      // The error message may quote the token.
      const cause = String(thrown instanceof Error ? thrown.message : thrown).replaceAll(token, "[token]");
      throw new LiftError("UNAUTHORIZED", { cause });
    }
  };
}
