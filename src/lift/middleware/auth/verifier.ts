import type { ConnectEvent, MessageEvent } from "../../../apigw/index.ts";
import { isFunction } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
import { expiryTime } from "./expiry.ts";
import { type AuthIdentity, validateIdentity } from "./identity.ts";
import { createJwtVerifier, DEFAULT_CLOCK_TOLERANCE, type JwtOptions } from "./jwt.ts";

/** How a token is checked. Exactly one of `jwt` and `validateToken`. */
export interface TokenOptions {
  readonly jwt?: JwtOptions;
  /**
   * Whose token it is: a user's id, or more. To refuse it throws, or answers nothing. `event` is what brought the
   * token: a connect, or the message that refreshes; none where a ticket is asked for.
   */
  readonly validateToken?: (
    token: string,
    event: ConnectEvent | MessageEvent | undefined,
  ) => string | AuthIdentity | undefined | Promise<string | AuthIdentity | undefined>;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

export const VERIFIER_OPTIONS = {
  jwt: (value: unknown) => typeof value === "object" && value !== null,
  validateToken: isFunction,
  now: isFunction,
};

export interface Verifier {
  /** Rejects with UNAUTHORIZED or UNAVAILABLE. */
  verify(token: string, event: ConnectEvent | MessageEvent | undefined): Promise<AuthIdentity>;
  /** Whether there is one, and it has not expired. */
  isCurrent(identity: AuthIdentity | undefined): boolean;
  readonly now: () => number;
  /** How long after its expiry a token is still taken. */
  readonly toleranceMs: number;
}

/** @throws {LiftError} INVALID_OPTION */
export function createVerifier({ jwt, validateToken, now = Date.now }: TokenOptions): Verifier {
  if ((jwt === undefined) === (validateToken === undefined)) {
    const message = "Either jwt or validateToken is needed, to check tokens by";
    throw new LiftError("INVALID_OPTION", { message });
  }
  const verify = jwt === undefined ? verifyByCallback(validateToken!) : createJwtVerifier(jwt, now);
  const toleranceMs = jwt === undefined ? 0 : (jwt.clockToleranceSeconds ?? DEFAULT_CLOCK_TOLERANCE) * 1_000;
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

function verifyByCallback(validateToken: NonNullable<TokenOptions["validateToken"]>) {
  return async (token: string, event: ConnectEvent | MessageEvent | undefined) => {
    try {
      return validateIdentity(await validateToken(token, event));
    } catch (thrown) {
      if (thrown instanceof LiftError) throw thrown;
      // Its words may quote the token.
      const cause = String(thrown instanceof Error ? thrown.message : thrown).replaceAll(token, "[token]");
      throw new LiftError("UNAUTHORIZED", { cause });
    }
  };
}
