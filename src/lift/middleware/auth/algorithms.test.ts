import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { exportJWK, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { memoryConnectionStore } from "../../../store/memory/index.ts";
import { jsonLogger, Lift } from "../../index.ts";
import { connectEvent, lambdaContext } from "../../testing/index.ts";
import { webSocketAuth } from "./index.ts";
import type { JwtOptions } from "./jwt.ts";

/** Long enough for every HMAC, so that no token is refused for the length of its key. */
const SECRET = new Uint8Array(64).fill(7);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const curve = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });

/** Key pairs by algorithm. Algorithms of a family share one where possible. */
const PAIRS: { readonly [algorithm: string]: { publicKey: KeyObject; privateKey: KeyObject } } = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: curve("P-256"),
  ES384: curve("P-384"),
  ES512: curve("P-521"),
  EdDSA: ed,
  Ed25519: ed,
};
const HMACS = ["HS256", "HS384", "HS512"];
const RSA = Object.keys(PAIRS).filter((algorithm) => PAIRS[algorithm] === rsa);

function sign(algorithm: string, key: Uint8Array | KeyObject): Promise<string> {
  const claims = new SignJWT({ iss: "issuer", aud: "chat", sub: "ada" }).setExpirationTime("1h");
  return claims.setProtectedHeader({ alg: algorithm }).sign(key);
}

type Keys = Pick<JwtOptions, "secret" | "publicKey" | "jwksUri" | "jwks">;

/** Connects with each token, and returns the statuses by algorithm. */
async function statuses(keys: Keys, allowed: readonly string[], tokens: ReadonlyMap<string, string>) {
  const app = new Lift({ connectionStore: memoryConnectionStore(), logger: jsonLogger({ level: "silent" }) });
  app.use(webSocketAuth({ jwt: { ...keys, algorithms: [...allowed], issuer: "issuer", audience: "chat" } }));
  const handler = app.webSocketHandler();
  const answers = [...tokens].map(async ([algorithm, token]) => {
    const { statusCode } = await handler(connectEvent({ query: { token } }), lambdaContext());
    return [algorithm, statusCode] as const;
  });
  return Object.fromEntries(await Promise.all(answers));
}

async function signAll(algorithms: readonly string[], key?: Uint8Array): Promise<Map<string, string>> {
  const tokens = algorithms.map(async (algorithm) => {
    const token = await sign(algorithm, key ?? PAIRS[algorithm]!.privateKey);
    return [algorithm, token] as const;
  });
  return new Map(await Promise.all(tokens));
}

const only = (allowed: readonly string[], algorithms: readonly string[]) =>
  Object.fromEntries(algorithms.map((algorithm) => [algorithm, allowed.includes(algorithm) ? 200 : 401]));

describe("webSocketAuth accepts only the listed algorithms", () => {
  it.each([[["HS256"]], [["HS384"]], [["HS512"]], [["HS256", "HS512"]]])(
    "by a secret of 64 bytes: %j",
    async (allowed) => {
      const tokens = await signAll(HMACS, SECRET);
      expect(await statuses({ secret: SECRET }, allowed, tokens)).toEqual(only(allowed, HMACS));
    },
  );

  it.each(RSA)("with an RSA key in PEM: %s", async (allowed) => {
    const publicKey = rsa.publicKey.export({ type: "spki", format: "pem" }) as string;
    expect(await statuses({ publicKey }, [allowed], await signAll(RSA))).toEqual(only([allowed], RSA));
  });

  it.each(["EdDSA", "Ed25519"])("with an Ed25519 key in PEM: %s", async (allowed) => {
    const publicKey = ed.publicKey.export({ type: "spki", format: "pem" }) as string;
    const both = ["EdDSA", "Ed25519"];
    expect(await statuses({ publicKey }, [allowed], await signAll(both))).toEqual(only([allowed], both));
  });

  it.each(Object.keys(PAIRS))("with published keys of every family: %s", async (allowed) => {
    const pairs = [...new Set(Object.values(PAIRS))];
    const keys = await Promise.all(pairs.map(({ publicKey }) => exportJWK(publicKey)));
    const jwks = { fetch: (async () => Response.json({ keys })) as typeof fetch };
    const all = await signAll(Object.keys(PAIRS));
    const answers = await statuses({ jwksUri: "https://issuer.example/keys", jwks }, [allowed], all);
    expect(answers).toEqual(only([allowed], Object.keys(PAIRS)));
  });

  it("never with a public key's text as a secret", async () => {
    const publicKey = rsa.publicKey.export({ type: "spki", format: "pem" }) as string;
    const tokens = await signAll(HMACS, new TextEncoder().encode(publicKey));
    expect(await statuses({ publicKey }, RSA, tokens)).toEqual(only([], HMACS));
  });
});
