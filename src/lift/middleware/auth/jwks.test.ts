import { generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { exportJWK, type JWK, SignJWT } from "jose";
import { describe, expect, it, vi } from "vitest";
import { memoryConnectionStore } from "../../../store/memory/index.ts";
import { jsonLogger, Lift } from "../../index.ts";
import { connectEvent, lambdaContext } from "../../testing/index.ts";
import { webSocketAuth } from "./index.ts";

const URI = "https://issuer.example/.well-known/jwks.json";
const pair = () => generateKeyPairSync("ed25519");
const first = pair();
const second = pair();

const jwk = async (key: KeyObject, more: Partial<JWK> = {}): Promise<JWK> => ({
  ...(await exportJWK(key)),
  ...more,
});

function keySet(keys: { [kid: string]: KeyObject }): Promise<JWK[]> {
  return Promise.all(Object.entries(keys).map(([kid, key]) => jwk(key, { kid, alg: "EdDSA" })));
}

type Answer = () => Response | Promise<Response>;

/** Creates an issuer with a manual clock, and an app that trusts it. */
function makeIssuer(algorithm = "EdDSA") {
  let now = Date.UTC(2026, 0, 1);
  let answer: Answer = () => new Response("", { status: 503 });
  const requests: { url: string; init: RequestInit | undefined }[] = [];
  const fetched = (url: string | URL | Request, init?: RequestInit) => {
    requests.push({ url: String(url), init });
    return Promise.resolve().then(answer);
  };
  const silent = jsonLogger({ level: "debug", write: () => {} });
  const app = new Lift({ connectionStore: memoryConnectionStore(), logger: silent });
  app.use(
    webSocketAuth({
      jwt: {
        algorithms: [algorithm],
        issuer: "issuer",
        audience: "chat",
        jwksUri: URI,
        jwks: { fetch: fetched as typeof fetch },
      },
      now: () => now,
    }),
  );
  const handler = app.webSocketHandler();
  const publishList = (keys: readonly JWK[]) => {
    answer = () => Response.json({ keys });
  };
  const connectBy = async (token: string) =>
    (await handler(connectEvent({ query: { token } }), lambdaContext())).statusCode;
  return {
    requests,
    publishList,
    publish: async (keys: { [kid: string]: KeyObject }) => publishList(await keySet(keys)),
    fail: (next: Answer) => {
      answer = next;
    },
    pass: (ms: number) => {
      now += ms;
    },
    connectBy,
    connect: async (kid: string | undefined, key: KeyObject, lifetimeSeconds = 60) => {
      const exp = now / 1_000 + lifetimeSeconds;
      const token = await new SignJWT({ iss: "issuer", aud: "chat", sub: "ada", exp })
        .setProtectedHeader({ alg: algorithm, ...(kid !== undefined && { kid }) })
        .sign(key);
      return connectBy(token);
    },
  };
}

const down: Answer = () => Promise.reject(new TypeError("fetch failed"));

describe("an issuer's keys", () => {
  it("are fetched on first use, once for all waiting callers, and cached", async () => {
    const { publish, connect, requests } = makeIssuer();
    await publish({ a: first.publicKey });
    expect(requests).toHaveLength(0);
    const statuses = await Promise.all(Array.from({ length: 20 }, () => connect("a", first.privateKey)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(requests).toMatchObject([{ url: URI, init: { redirect: "manual" } }]);
  });

  it("are fetched again after `maxAgeMs`", async () => {
    const { publish, connect, requests, pass } = makeIssuer();
    await publish({ a: first.publicKey });
    await connect("a", first.privateKey);
    pass(599_999);
    await connect("a", first.privateKey);
    expect(requests).toHaveLength(1);
    pass(1);
    await publish({ b: second.publicKey });
    expect(await connect("b", second.privateKey)).toBe(200);
    expect(requests).toHaveLength(2);
    expect(await connect("a", first.privateKey)).toBe(401);
  });

  it("rotate: an unknown key causes a fetch, at most one per cooldown", async () => {
    const { publish, connect, requests, pass } = makeIssuer();
    await publish({ a: first.publicKey });
    await connect("a", first.privateKey);
    await publish({ a: first.publicKey, b: second.publicKey });
    expect(await connect("b", second.privateKey)).toBe(401);
    expect(requests).toHaveLength(1);
    pass(30_000);
    const both = await Promise.all([connect("b", second.privateKey), connect("b", second.privateKey)]);
    expect(both).toEqual([200, 200]);
    expect(requests).toHaveLength(2);
  });

  it("are not fetched for every forged key", async () => {
    const { publish, connect, requests, pass } = makeIssuer();
    await publish({ a: first.publicKey });
    await connect("a", first.privateKey);
    pass(30_000);
    for (let n = 0; n < 10; n++) expect(await connect(`forged-${n}`, second.privateKey)).toBe(401);
    expect(requests).toHaveLength(2);
  });

  it("outlive an outage of the issuer", async () => {
    const { publish, connect, requests, pass, fail } = makeIssuer();
    await publish({ a: first.publicKey });
    await connect("a", first.privateKey);
    fail(down);
    pass(3_600_000);
    expect(await connect("a", first.privateKey)).toBe(200);
    expect(await connect("a", first.privateKey)).toBe(200);
    expect(requests).toHaveLength(2);
    pass(30_000);
    await publish({ b: second.publicKey });
    expect(await connect("b", second.privateKey)).toBe(200);
  });

  it.each<[string, Answer]>([
    ["can't be reached", down],
    ["answers an error", () => new Response("", { status: 500 })],
    ["redirects", () => Response.redirect("https://evil.example/jwks.json")],
    ["answers no JSON", () => new Response("<html>")],
    ["answers no keys", () => Response.json({ keys: "none" })],
  ])(
    "cause a refusal with 503 when the issuer %s before the first fetch, and are soon requested again",
    async (_what, answer) => {
      const { publish, connect, requests, pass, fail } = makeIssuer();
      fail(answer);
      expect(await connect("a", first.privateKey)).toBe(503);
      expect(await connect("a", first.privateKey)).toBe(503);
      expect(requests).toHaveLength(1);
      pass(1_000);
      await publish({ a: first.publicKey });
      expect(await connect("a", first.privateKey)).toBe(200);
    },
  );
});

describe("keys that a token does not distinguish", () => {
  const pairs = Array.from({ length: 17 }, pair);
  const [one, two, three] = pairs as [typeof first, typeof first, typeof first];
  const withoutKid = (keys: readonly { publicKey: KeyObject }[]) =>
    Promise.all(keys.map(({ publicKey }) => jwk(publicKey)));

  it("are each tried when neither the token nor the set has a kid", async () => {
    const { publishList, connect, requests } = makeIssuer();
    publishList(await withoutKid([one, two]));
    expect(await connect(undefined, one.privateKey)).toBe(200);
    expect(await connect(undefined, two.privateKey)).toBe(200);
    expect(await connect(undefined, three.privateKey)).toBe(401);
    expect(requests).toHaveLength(1);
  });

  it("are each tried when only the set has kids", async () => {
    const { publish, connect } = makeIssuer();
    await publish({ a: one.publicKey, b: two.publicKey });
    expect(await connect(undefined, one.privateKey)).toBe(200);
    expect(await connect(undefined, two.privateKey)).toBe(200);
  });

  it.each<[string, readonly KeyObject[]]>([
    ["twice", [one.publicKey, one.publicKey]],
    ["after another key with its kid", [two.publicKey, one.publicKey]],
    ["before another key with its kid", [one.publicKey, two.publicKey]],
  ])("include one that is listed %s", async (_where, keys) => {
    const { publishList, connect } = makeIssuer();
    publishList(await Promise.all(keys.map((key) => jwk(key, { kid: "a", alg: "EdDSA" }))));
    expect(await connect("a", one.privateKey)).toBe(200);
    expect(await connect("a", three.privateKey)).toBe(401);
    expect(await connect("b", one.privateKey)).toBe(401);
  });

  it("are tried up to sixteen", async () => {
    const { publishList, connect } = makeIssuer();
    publishList(await withoutKid(pairs));
    expect(await connect(undefined, pairs[15]!.privateKey)).toBe(200);
    expect(await connect(undefined, pairs[16]!.privateKey)).toBe(401);
  });

  it("are tried after one that cannot be used", async () => {
    const rsa = (modulusLength: number) => generateKeyPairSync("rsa", { modulusLength });
    const [short, good] = [rsa(1_024), rsa(2_048)];
    const { publishList, connect } = makeIssuer("RS256");
    publishList([
      { kty: "RSA", n: "broken", e: "" },
      await jwk(one.publicKey),
      await jwk(short.publicKey),
      await jwk(good.publicKey),
    ]);
    expect(await connect(undefined, good.privateKey)).toBe(200);
  });

  it("reject an expired token without another fetch", async () => {
    const { publishList, connect, requests, pass } = makeIssuer();
    publishList(await withoutKid([one, two]));
    await connect(undefined, one.privateKey);
    pass(30_000);
    expect(await connect(undefined, two.privateKey, -60)).toBe(401);
    expect(requests).toHaveLength(1);
  });

  it.each<[string, string | undefined]>([
    ["without a kid", undefined],
    ["under one kid", "a"],
  ])("rotate %s, with at most one fetch per cooldown", async (_how, kid) => {
    const { publishList, connect, requests, pass } = makeIssuer();
    const named = kid === undefined ? {} : { kid };
    publishList([await jwk(one.publicKey, named)]);
    expect(await connect(kid, one.privateKey)).toBe(200);
    publishList([await jwk(two.publicKey, named)]);
    expect(await connect(kid, two.privateKey)).toBe(401);
    pass(30_000);
    expect(await connect(kid, two.privateKey)).toBe(200);
    expect(await connect(kid, one.privateKey)).toBe(401);
    expect(requests).toHaveLength(2);
  });
});

it("rejects any key name of a client, with one fetch per cooldown", async () => {
  const { publishList, connectBy, requests } = makeIssuer();
  publishList([await jwk(first.publicKey), await jwk(second.publicKey, { kid: "b" })]);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const header = fc.record(
    { alg: fc.constantFrom("EdDSA", "RS256", "none", "HS256"), kid: fc.jsonValue(), jwk: fc.jsonValue() },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(header, fc.base64String(), async (protectedHeader, signature) => {
      const token = `${encode(protectedHeader)}.${encode({ sub: "ada" })}.${signature.replace(/[+/=]/g, "")}`;
      expect(await connectBy(token)).toBe(401);
    }),
    { seed: 1 },
  );
  expect(requests).toHaveLength(1);
});

describe("a clock that is set back by an hour", () => {
  it("delays the next fetch by no more than the cooldown", async () => {
    const { publishList, connect, fail, pass } = makeIssuer();
    fail(() => Promise.reject(new Error("down")));
    expect(await connect(undefined, first.privateKey)).toBe(503);
    publishList([await jwk(first.publicKey, {})]);
    pass(-3_600_000);
    expect(await connect(undefined, first.privateKey)).toBe(503);
    pass(1_000);
    expect(await connect(undefined, first.privateKey)).toBe(200);
  });

  it("does not change the age of a set", async () => {
    const { publishList, connect, requests, pass } = makeIssuer();
    publishList([await jwk(first.publicKey, {})]);
    expect(await connect(undefined, first.privateKey)).toBe(200);
    pass(-3_600_000);
    expect(await connect(undefined, first.privateKey)).toBe(200);
    pass(599_999);
    expect(await connect(undefined, first.privateKey)).toBe(200);
    expect(requests).toHaveLength(1);
    pass(1);
    expect(await connect(undefined, first.privateKey)).toBe(200);
    expect(requests).toHaveLength(2);
  });
});

describe("an issuer that hangs", () => {
  it("times out after 5 s", async () => {
    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(deadline.signal);
    const { connect, fail, requests } = makeIssuer();
    fail(() => {
      const { signal } = requests.at(-1)?.init ?? {};
      const answer = new Promise<Response>((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
      });
      deadline.abort(new DOMException("Too late", "TimeoutError"));
      return answer;
    });
    expect(await connect("a", first.privateKey)).toBe(503);
    expect(timeout).toHaveBeenCalledExactlyOnceWith(5_000);
  });
});
