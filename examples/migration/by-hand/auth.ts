import { errors, jwtVerify } from "jose";

export interface AuthOptions {
  readonly secret: Uint8Array;
  readonly issuer: string;
  readonly audience: string;
}

export interface Identity {
  readonly userId: string;
  readonly tenantId: string;
  /** ms since the epoch. */
  readonly tokenExpiresAt: number;
}

/** Returns the identity of a token; `undefined` when it is forged, expired, or for others. */
export async function verifyToken(token: string, options: AuthOptions): Promise<Identity | undefined> {
  const { secret, issuer, audience } = options;
  try {
    const { payload } = await jwtVerify<{ tenant_id?: unknown }>(token, secret, {
      algorithms: ["HS256"],
      issuer,
      audience,
      requiredClaims: ["sub", "tenant_id", "exp"],
    });
    const { sub, tenant_id: tenantId, exp } = payload;
    if (!sub || typeof tenantId !== "string" || tenantId === "") return undefined;
    return { userId: sub, tenantId, tokenExpiresAt: exp! * 1_000 };
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

/** The token of `?Authorization=`, with or without `Bearer`, or of `?token=`. */
export function tokenOf(query: { readonly [name: string]: string | undefined } = {}): string | undefined {
  return query.Authorization?.replace(/^Bearer /i, "") || query.token || undefined;
}
