import { jwtVerify } from "jose";
import type { ChatOptions } from "./connect.ts";

export interface TokenRules {
  /** The HS256 key of the tokens. */
  readonly secret: string | Uint8Array;
  readonly issuer: string;
  readonly audience: string;
}

/** Accepts JWTs with the user in `sub`, an expiry, and optionally the tenant in `tenant_id`. */
export function tokenVerifier({ secret, issuer, audience }: TokenRules): ChatOptions["verify"] {
  const key = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return async (token) => {
    const { payload } = await jwtVerify<{ tenant_id?: string }>(token, key, {
      algorithms: ["HS256"],
      issuer,
      audience,
      requiredClaims: ["sub", "exp"],
    });
    return { sub: payload.sub!, tenant: payload.tenant_id, expiresAt: payload.exp! * 1000 };
  };
}
