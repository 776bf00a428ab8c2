import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { exportJWK, SignJWT } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { jsonLogger, Lift } from "../index.ts";
import { connectEvent, lambdaContext } from "../testing.ts";
import { webSocketAuth } from "./auth.ts";

const URI = "https://issuer.example/.well-known/jwks.json";
const pair = () => generateKeyPairSync("ed25519");
const first = pair();
const second = pair();

async function keySet(keys: { [kid: string]: KeyObject }) {
  const jwks = Object.entries(keys).map(async ([kid, key]) => ({
    ...(await exportJWK(key)),
    kid,
    alg: "EdDSA",
  }));
  return { keys: await Promise.all(jwks) };
}

type Answer = () => Response | Promise<Response>;

/** An issuer on a clock that stands still, and an app that trusts it. */
function makeIssuer() {
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
        algorithms: ["EdDSA"],
        issuer: "issuer",
        audience: "chat",
        jwksUri: URI,
        jwks: { fetch: fetched as typeof fetch },
      },
      now: () => now,
    }),
  );
  const handler = app.webSocketHandler();
  const publish = async (keys: { [kid: string]: KeyObject }) => {
    const set = await keySet(keys);
    answer = () => Response.json(set);
  };
  return {
    requests,
    publish,
    fail: (next: Answer) => {
      answer = next;
    },
    pass: (ms: number) => {
      now += ms;
    },
    connect: async (kid: string, key: KeyObject) => {
      const token = await new SignJWT({ iss: "issuer", aud: "chat", sub: "ada", exp: now / 1_000 + 60 })
        .setProtectedHeader({ alg: "EdDSA", kid })
        .sign(key);
      const result = await handler(connectEvent({ query: { token } }), lambdaContext());
      return result.statusCode;
    },
  };
}

const down: Answer = () => Promise.reject(new TypeError("fetch failed"));

describe("an issuer's keys", () => {
  it("are fetched when first needed, once for all who wait, and kept", async () => {
    const { publish, connect, requests } = makeIssuer();
    await publish({ a: first.publicKey });
    expect(requests).toHaveLength(0);
    const statuses = await Promise.all(Array.from({ length: 20 }, () => connect("a", first.privateKey)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(requests).toMatchObject([{ url: URI, init: { redirect: "error" } }]);
  });

  it("are fetched again when they are old", async () => {
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

  it("rotate: a key that is not among them is looked for, at most once in the cooldown", async () => {
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

  it("are not asked for by every forged key", async () => {
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
    ["answers no JSON", () => new Response("<html>")],
    ["answers no keys", () => Response.json({ keys: "none" })],
  ])(
    "that were never had refuse with 503 when the issuer %s, and soon are asked for again",
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

describe("an issuer that hangs", () => {
  afterEach(() => void vi.useRealTimers());

  it("is given up after 5 s, and no timer stays", async () => {
    const { connect, fail, requests } = makeIssuer();
    const asked = new Promise<void>((resolve) => {
      fail(() => {
        resolve();
        const { signal } = requests.at(-1)?.init ?? {};
        return new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      });
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const connecting = connect("a", first.privateKey);
    await asked;
    vi.advanceTimersByTime(5_000);
    expect(await connecting).toBe(503);
    expect(vi.getTimerCount()).toBe(0);
  });
});
