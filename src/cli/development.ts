import { randomBytes } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import { isLoopback } from "../internal/this-machine.ts";
import { CliError } from "./errors.ts";
import { privateDirectory, readOrCreate } from "./private-files.ts";

const ISSUER = "lift-ws-development";
const AUDIENCE = "lift-ws-development";
const ALGORITHM = "HS256";
const SECRET_BYTES = 32;

/** Options of {@link mintDevelopmentToken}. */
export interface DevelopmentTokenOptions {
  /** The user, as the claim `sub`. */
  readonly sub: string;
  /** The tenant, as the claim `tenant_id`. Default: no such claim. */
  readonly tenant?: string | undefined;
  /** Lifetime: a whole number with `s`, `m`, `h` or `d`. Default `1h`. */
  readonly expiresIn?: string;
}

/** The identity in a development token. */
export interface DevelopmentIdentity {
  /** The user. */
  readonly sub: string;
  /** The tenant; absent when the token has none. */
  readonly tenant?: string | undefined;
  /** Expiry of the token in ms since the epoch. */
  readonly expiresAt: number;
}

/**
 * Returns the secret that signs this checkout's development tokens. It is created on first use: 32 random bytes in a file
 * that only its owner can read and that git ignores. The secret is base64url, so that it fits into an environment variable.
 * The key is that text itself, not the decoded bytes.
 * @param directory default `.lift-ws` in the working directory
 * @throws {CliError} FAILED when the file is damaged
 * @example
 * process.env.LIFT_WS_DEVELOPMENT_SECRET = await developmentSecret();
 */
export async function developmentSecret(directory: string = privateDirectory()): Promise<string> {
  const secret = await readOrCreate(directory, "secret", () => randomBytes(SECRET_BYTES));
  if (secret.length === SECRET_BYTES) return Buffer.from(secret).toString("base64url");
  throw new CliError(
    "FAILED",
    `${directory}/secret is damaged: delete it, and the next start creates a new one`,
  );
}

/**
 * Returns the environment variable with which handlers verify development tokens. Returns none when other machines can
 * reach the server, because a development token does not prove an identity.
 * @param host the host that the server listens on
 * @throws {CliError} FAILED, as {@link developmentSecret}
 */
export async function developmentEnvironment(host: string): Promise<Record<string, string>> {
  return isLoopback(host) ? { LIFT_WS_DEVELOPMENT_SECRET: await developmentSecret() } : {};
}

async function developmentKey(directory: string): Promise<Uint8Array> {
  return new TextEncoder().encode(await developmentSecret(directory));
}

/**
 * Creates a JWT for development: HS256 with the claims `sub`, `tenant_id` (with a tenant), `iss`, `aud`, `iat` and `exp`.
 * Check {@link isLoopback} before you offer tokens: a server that other machines can reach must not give away identities.
 * @param directory of the secret; default `.lift-ws` in the working directory
 * @throws {CliError} USAGE when `expiresIn` is invalid
 * @example
 * const token = await mintDevelopmentToken({ sub: "ann", tenant: "acme", expiresIn: "15m" });
 */
export async function mintDevelopmentToken(
  options: DevelopmentTokenOptions,
  directory: string = privateDirectory(),
): Promise<string> {
  const { sub, tenant, expiresIn = "1h" } = options;
  if (!/^[1-9]\d{0,8}[smhd]$/.test(expiresIn)) {
    throw new CliError(
      "USAGE",
      `Invalid duration "${expiresIn}"; expected a whole number with s, m, h or d, such as 1h`,
    );
  }
  return new SignJWT(tenant === undefined ? {} : { tenant_id: tenant })
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
    .setSubject(sub)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(expiresIn)
    .sign(await developmentKey(directory));
}

/**
 * Verifies a development token and returns its identity.
 * @param directory of the secret; default `.lift-ws` in the working directory
 * @throws {JOSEError} from `jose` when another checkout created the token, or when it has expired
 * @example
 * const { sub, tenant } = await verifyDevelopmentToken(token);
 */
export async function verifyDevelopmentToken(
  token: string,
  directory: string = privateDirectory(),
): Promise<DevelopmentIdentity> {
  const { payload } = await jwtVerify<{ tenant_id?: string }>(token, await developmentKey(directory), {
    algorithms: [ALGORITHM],
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["sub", "exp"],
  });
  // The claims have the types that mintDevelopmentToken wrote, because this checkout signed them.
  return { sub: payload.sub!, tenant: payload.tenant_id, expiresAt: payload.exp! * 1000 };
}
