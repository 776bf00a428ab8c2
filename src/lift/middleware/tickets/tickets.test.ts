import { SignJWT } from "jose";
import { expect, it } from "vitest";
import type { FunctionUrlEvent } from "../../../apigw/index.ts";
import { memoryConnectionStore, memoryTicketStore } from "../../../store/memory/index.ts";
import { jsonLogger, Lift } from "../../index.ts";
import { authorizerEvent, connectEvent, lambdaContext, recordingConnections } from "../../testing/index.ts";
import { webSocketAuth, webSocketAuthorizer } from "../auth/index.ts";
import { type TicketHandlerOptions, ticketHandler } from "./index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const START = Date.UTC(2026, 0, 1);
const PAGE = "https://app.example";
const secret = new TextEncoder().encode("a secret of thirty-two bytes, or more");
const jwt = { algorithms: ["HS256"], secret, issuer: "me", audience: "chat" };
const IDENTITY = { roles: ["admin"], permissions: ["write"], expiresAt: START + 60_000 };

const sign = (claims: { [claim: string]: unknown } = {}) =>
  new SignJWT({
    iss: "me",
    aud: "chat",
    sub: "ada",
    tenant_id: "acme",
    roles: ["admin"],
    permissions: ["write"],
    exp: (START + 60_000) / 1_000,
    ...claims,
  })
    .setProtectedHeader({ alg: "HS256" })
    .sign(secret);

function urlEvent(method: string, headers: { [name: string]: string }): FunctionUrlEvent {
  return {
    version: "2.0",
    rawPath: "/",
    rawQueryString: "",
    headers,
    requestContext: { requestId: "request-1", http: { method, path: "/", sourceIp: "192.0.2.1" } },
    isBase64Encoded: false,
  };
}

function setUp(options: Partial<TicketHandlerOptions> = {}) {
  let time = START;
  const now = () => time;
  const tickets = memoryTicketStore();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", write: (_level, line) => lines.push(line) });
  const store = memoryConnectionStore({ now });
  const app = new Lift<object>({ connectionStore: store, connections: recordingConnections(), logger, now });
  app.use(webSocketAuth({ jwt, tickets, now }));
  const connecting = app.webSocketHandler();
  const minting = ticketHandler({ jwt, tickets, now, logger, ...options });
  const ask = async (headers: { [name: string]: string } = {}, method = "POST") =>
    minting(urlEvent(method, headers), lambdaContext());
  return {
    tickets,
    store,
    lines,
    at: (ms: number) => {
      time = START + ms;
    },
    now,
    ask,
    mint: async () => {
      const { body } = await ask({ authorization: `Bearer ${await sign()}` });
      return JSON.parse(body!) as { ticket: string; expiresAt: number };
    },
    connect: (query: { [name: string]: string }) =>
      connecting(connectEvent({ query, requestContext: { connectedAt: START } }), lambdaContext()),
  };
}

it("is issued for a token and connects with the token's identity and expiry", async () => {
  const { ask, connect, store } = setUp();
  const { statusCode, headers, body } = await ask({ authorization: `Bearer ${await sign()}` });
  expect(statusCode).toBe(200);
  expect(headers).toEqual({ "cache-control": "no-store", "content-type": "application/json" });
  const { ticket, expiresAt } = JSON.parse(body!);
  expect(ticket).toMatch(/^[\w-]{43}$/);
  expect(expiresAt).toBe(START + 30_000);
  expect((await connect({ ticket })).statusCode).toBe(200);
  expect(await store.get(ID)).toMatchObject({
    userId: "ada",
    tenantId: "acme",
    metadata: { "lift:auth": IDENTITY },
  });
});

it("does not let a connection outlive the token, whatever its identity", async () => {
  const { ask, connect, store } = setUp({ jwt: { ...jwt, identity: () => ({ userId: "ada" }) } });
  const { body } = await ask({ authorization: `Bearer ${await sign()}` });
  await connect({ ticket: JSON.parse(body!).ticket });
  expect(await store.get(ID)).toMatchObject({ metadata: { "lift:auth": { expiresAt: START + 60_000 } } });
});

it("is unique and redeemed once, even by a hundred concurrent clients", async () => {
  const { mint, connect } = setUp();
  const [{ ticket }, other] = [await mint(), await mint()];
  expect(other.ticket).not.toBe(ticket);
  const results = await Promise.all(Array.from({ length: 100 }, () => connect({ ticket })));
  expect(results.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1);
  expect(results.filter(({ statusCode }) => statusCode === 401)).toHaveLength(99);
});

it.each([
  [5 * 60_000, 200],
  [5 * 60_000 + 1, 401],
  [3_600_000, 401],
  [365 * 86_400_000, 401],
])("redeemed %d ms before it was minted, by another clock, ends with %d", async (ahead, status) => {
  const { mint, connect, at } = setUp({ jwt: { ...jwt, clockToleranceSeconds: 300 } });
  at(0);
  const { ticket } = await mint();
  at(-ahead);
  expect((await connect({ ticket })).statusCode).toBe(status);
});

it("is valid for 30 seconds", async () => {
  const { mint, connect, at } = setUp();
  const [first, second] = [await mint(), await mint()];
  at(29_999);
  expect((await connect({ ticket: first.ticket })).statusCode).toBe(200);
  at(30_000);
  expect((await connect({ ticket: second.ticket })).statusCode).toBe(401);
});

it("is refused after the token's expiry", async () => {
  const { ask, connect, at } = setUp();
  const { body } = await ask({ authorization: `Bearer ${await sign({ exp: START / 1_000 + 1 })}` });
  at(10_000);
  expect((await connect(JSON.parse(body!))).statusCode).toBe(401);
});

it("is not replaced by a token beside it, and is not a token itself", async () => {
  const { connect, mint } = setUp();
  const token = await sign();
  expect((await connect({ ticket: "made-up", token })).statusCode).toBe(401);
  expect((await connect({ ticket: "", token })).statusCode).toBe(401);
  expect((await connect({ token: (await mint()).ticket })).statusCode).toBe(401);
  expect((await connect({ token })).statusCode).toBe(200);
});

it("is accepted by the authorizer as well", async () => {
  const { mint, tickets, now } = setUp();
  const authorize = webSocketAuthorizer({ jwt, tickets, now });
  const query = { ticket: (await mint()).ticket };
  expect((await authorize(authorizerEvent({ query }))).context).toMatchObject({
    sub: "ada",
    tenant_id: "acme",
  });
  await expect(authorize(authorizerEvent({ query }))).rejects.toThrow("Unauthorized");
});

it("is neither in the store nor in the log, nor is the token", async () => {
  const saved: unknown[] = [];
  const tickets = memoryTicketStore();
  const recording = {
    save: async (...given: Parameters<typeof tickets.save>) => {
      saved.push(given);
      return tickets.save(...given);
    },
    take: (hash: string, at: number) => tickets.take(hash, at),
  };
  const { mint, ask, connect, lines } = setUp({ tickets: recording });
  const { ticket } = await mint();
  expect(saved).toHaveLength(1);
  expect(JSON.stringify(saved)).not.toContain(ticket);
  const forged = `${await sign()}x`;
  await ask({ authorization: `Bearer ${forged}` });
  await connect({ ticket });
  await connect({ ticket });
  expect(lines).not.toEqual([]);
  for (const secret of [ticket, forged, await sign()]) expect(lines.join()).not.toContain(secret);
});

it.each<[string, () => Promise<{ [name: string]: string }>]>([
  ["without a token", async () => ({})],
  ["with another scheme", async () => ({ authorization: "Basic YTpi" })],
  ["with a forged token", async () => ({ authorization: `Bearer ${await sign()}x` })],
  [
    "with an expired one",
    async () => ({ authorization: `Bearer ${await sign({ exp: START / 1_000 - 60 })}` }),
  ],
])("is refused %s, with 401", async (_what, headers) => {
  const { statusCode, headers: answered, body } = await setUp().ask(await headers());
  expect(statusCode).toBe(401);
  expect(answered).toMatchObject({ "cache-control": "no-store", "www-authenticate": "Bearer" });
  expect(JSON.parse(body!)).toMatchObject({ error: { code: "UNAUTHORIZED" } });
});

it("is refused for an identity that has expired", async () => {
  const minting = ticketHandler({
    validateToken: () => ({ userId: "ada", expiresAt: START }),
    tickets: memoryTicketStore(),
    now: () => START,
    logger: jsonLogger({ level: "silent" }),
  });
  const answer = await minting(urlEvent("POST", { authorization: "Bearer x" }), lambdaContext());
  expect(answer).toMatchObject({ statusCode: 401, body: expect.stringContaining("TOKEN_EXPIRED") });
});

it("is refused with 503 when it cannot be stored, with the cause in the log only", async () => {
  const broken = {
    ...memoryTicketStore(),
    take: async () => undefined,
    save: () => Promise.reject(new Error("down")),
  };
  const { ask, lines } = setUp({ tickets: broken });
  const { statusCode, headers, body } = await ask({ authorization: `Bearer ${await sign()}` });
  expect(statusCode).toBe(503);
  expect(headers).not.toHaveProperty("www-authenticate");
  expect(body).not.toContain("down");
  expect(lines.join()).toContain("down");
});

it("is refused with a warning in the log for a client's fault, and an error for the server's", async () => {
  const save = () => Promise.reject(new Error("down"));
  const { ask, lines } = setUp({ tickets: { save, take: async () => undefined } });
  await ask();
  await ask({ authorization: `Bearer ${await sign()}` });
  const logged = lines.map((line) => JSON.parse(line) as unknown);
  expect(logged).toMatchObject([{ level: "warn" }, { level: "error" }]);
});

it.each(["GET", "PUT", "DELETE"])("is not issued for %s", async (method) => {
  const { ask } = setUp();
  const answer = await ask({ authorization: `Bearer ${await sign()}` }, method);
  expect(answer).toMatchObject({ statusCode: 405, headers: { allow: "POST" } });
});

it("may be requested by pages of the origins in `cors` only", async () => {
  const { ask } = setUp({ cors: { origins: [PAGE], maxAgeSeconds: 60 } });
  expect(await ask({ origin: PAGE }, "OPTIONS")).toEqual({
    statusCode: 204,
    headers: {
      "cache-control": "no-store",
      vary: "origin",
      "access-control-allow-origin": PAGE,
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "authorization",
      "access-control-max-age": "60",
    },
  });
  const allowed = await ask({ origin: PAGE, authorization: `Bearer ${await sign()}` });
  expect(allowed).toMatchObject({ statusCode: 200, headers: { "access-control-allow-origin": PAGE } });
  for (const headers of [{ origin: "https://evil.example" }, { origin: "null" }, {}]) {
    const answer = await ask(headers, "OPTIONS");
    expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    expect(answer.headers).toMatchObject({ vary: "origin" });
  }
  const any = setUp({ cors: { origins: ["*"] } });
  const answered = await any.ask({ origin: "https://any.example" }, "OPTIONS");
  expect(answered.headers).toMatchObject({ "access-control-allow-origin": "https://any.example" });
  const none = await setUp().ask({ origin: PAGE }, "OPTIONS");
  expect(none.headers).toEqual({ "cache-control": "no-store" });
});

it.each([
  "capacitor://localhost",
  "ionic://localhost",
  "tauri://localhost",
  "chrome-extension://abc",
  "null",
])("may be requested by pages of %s when it is listed", async (origin) => {
  const { ask } = setUp({ cors: { origins: [PAGE, origin] } });
  const answer = await ask({ origin }, "OPTIONS");
  expect(answer.headers).toMatchObject({ "access-control-allow-origin": origin });
});

it("is issued without CORS headers to a request that has no origin, also with *", async () => {
  const { ask } = setUp({ cors: { origins: ["*"] } });
  const answer = await ask({ authorization: `Bearer ${await sign()}` });
  expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
});

it("may not be requested by pages of the origin null with *", async () => {
  const { ask } = setUp({ cors: { origins: ["*"] } });
  const answer = await ask({ origin: "null" }, "OPTIONS");
  expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
});

it("rejects invalid options", () => {
  const tickets = memoryTicketStore();
  const wrong: object[] = [
    { jwt },
    { tickets },
    { jwt, tickets: {} },
    { jwt, tickets, colour: "red" },
    { jwt, tickets, validateToken: () => "ada" },
    { jwt, tickets, cors: {} },
    { jwt, tickets, cors: { origins: [] } },
    { jwt, tickets, cors: { origins: [PAGE, "https://app.example/"] } },
    { jwt, tickets, cors: { origins: [PAGE], maxAgeSeconds: -1 } },
  ];
  for (const options of wrong) {
    expect(() => ticketHandler(options as never), JSON.stringify(options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  }
  expect(() => webSocketAuth({ jwt, tickets: {} as never })).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION" }),
  );
});
