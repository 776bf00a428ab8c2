import { jwtVerify } from "jose";
import type { ChatOptions } from "./app.ts";

export interface TokenRules {
  /** What tokens are signed with, by HS256. */
  readonly secret: string | Uint8Array;
  readonly issuer: string;
  readonly audience: string;
}

/** Takes JWTs that say the user in `sub`, the tenant, if any, in `tenant_id`, and when they end. */
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
