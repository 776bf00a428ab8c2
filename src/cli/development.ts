import { randomBytes } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import { isLoopback } from "../internal/this-machine.ts";
import { CliError } from "./errors.ts";
import { privateDirectory, readOrCreate } from "./private-files.ts";

const ISSUER = "lift-ws-development";
const AUDIENCE = "lift-ws-development";
const ALGORITHM = "HS256";
const SECRET_BYTES = 32;

export interface DevelopmentTokenOptions {
  /** The user. */
  readonly sub: string;
  /** Goes into the claim `tenant_id`. Default: no such claim. */
  readonly tenant?: string | undefined;
  /** A whole number and `s`, `m`, `h` or `d`. Default `1h`. */
  readonly expiresIn?: string;
}

export interface DevelopmentIdentity {
  readonly sub: string;
  /** Absent when the token names none. */
  readonly tenant?: string | undefined;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/**
 * The secret that this checkout's development tokens are signed with: 32 random bytes, made when first asked
 * for, readable by their owner only and ignored by git. As text, base64url, so that it fits into an environment
 * variable; the key is the text as it stands, so that nobody has to decode it.
 * @param directory default `.lift-ws` in the working directory
 * @throws {CliError} FAILED, when the file holds something else
 */
export async function developmentSecret(directory: string = privateDirectory()): Promise<string> {
  const secret = await readOrCreate(directory, "secret", () => randomBytes(SECRET_BYTES));
  if (secret.length === SECRET_BYTES) return Buffer.from(secret).toString("base64url");
  throw new CliError(
    "FAILED",
    `${directory}/secret is damaged: delete it, and the next start makes a new one`,
  );
}

/**
 * What a handler checks development tokens with, as its environment has it: nothing where others can reach the
 * server, as such a token says who someone is without a proof of it.
 * @param host what the server listens on
 * @throws {CliError} as {@link developmentSecret} does
 */
export async function developmentEnvironment(host: string): Promise<Record<string, string>> {
  return isLoopback(host) ? { LIFT_WS_DEVELOPMENT_SECRET: await developmentSecret() } : {};
}

async function developmentKey(directory: string): Promise<Uint8Array> {
  return new TextEncoder().encode(await developmentSecret(directory));
}

/**
 * A JWT for development: HS256, claims `sub`, `tenant_id` (if there is one), `iss`, `aud`, `iat`, `exp`. Whoever offers to mint
 * asks {@link isLoopback} first: a server that others can reach gives away no identities.
 * @throws {CliError} USAGE, when `expiresIn` is no duration
 */
export async function mintDevelopmentToken(
  options: DevelopmentTokenOptions,
  directory: string = privateDirectory(),
): Promise<string> {
  const { sub, tenant, expiresIn = "1h" } = options;
  if (!/^[1-9]\d{0,8}[smhd]$/.test(expiresIn)) {
    throw new CliError(
      "USAGE",
      `"${expiresIn}" is no duration: give a whole number and s, m, h or d, like 1h`,
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
 * Whose token it is.
 * @throws {JOSEError} from `jose`, when it is not one that this checkout minted, or is past its time
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
  // Signed by this checkout and required above: the claims are what mintDevelopmentToken wrote.
  return { sub: payload.sub!, tenant: payload.tenant_id, expiresAt: payload.exp! * 1000 };
}
