import { generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { SignJWT } from "jose";
import { describe, expect, it, vi } from "vitest";
import type { AuthorizerContext, AuthorizerResult } from "../../../apigw/index.ts";
import { memoryConnectionStore } from "../../../store/memory/index.ts";
import { type AnyContext, jsonLogger, Lift, LiftError, type LiftOptions } from "../../index.ts";
import {
  authorizerEvent,
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import {
  authIdentity,
  requirePermission,
  type WebSocketAuthOptions,
  webSocketAuth,
  webSocketAuthorizer,
} from "./index.ts";
import { chooseProtocol, tokenFromRequest } from "./tokens.ts";

const ID = "L0SM9cOFvHcCIhw=";
const NOW = Date.UTC(2026, 0, 1);
const SECONDS = NOW / 1_000;
const SECRET = "a secret of thirty-two bytes, or more";
const ISSUER = "https://issuer.example";
const AUDIENCE = "chat";
const jwt = { algorithms: ["HS256"], secret: SECRET, issuer: ISSUER, audience: AUDIENCE };
const byJwt = { jwt, now: () => NOW };

const CLAIMS = {
  iss: ISSUER,
  aud: AUDIENCE,
  exp: SECONDS + 600,
  sub: "ada",
  tenant_id: "acme",
  roles: ["admin"],
  permissions: ["chat:write"],
};

function sign(
  claims: { [claim: string]: unknown } = {},
  key: Uint8Array | KeyObject = new TextEncoder().encode(SECRET),
  alg = "HS256",
) {
  return new SignJWT({ ...CLAIMS, ...claims }).setProtectedHeader({ alg }).sign(key);
}

type Sent = { query?: { [name: string]: string }; headers?: { [name: string]: string } };

function makeApp(options: WebSocketAuthOptions = byJwt, lift: Partial<LiftOptions<object>> = {}) {
  const store = memoryConnectionStore({ now: () => NOW });
  const connections = recordingConnections();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", write: (_level, line) => lines.push(line) });
  const now = () => NOW;
  const app = new Lift<object>({ connections, connectionStore: store, logger, now, ...lift });
  const seen: unknown[] = [];
  app.use(webSocketAuth(options));
  app.webSocket("chat", (ctx) => void seen.push(authIdentity(ctx)));
  app.webSocket("write", { middleware: [requirePermission("chat:write")] }, () => void seen.push("written"));
  app.webSocket("moderate", { middleware: [requirePermission("chat:write", "chat:delete")] }, () => {
    seen.push("moderated");
  });
  app.webSocket("ping", () => void seen.push("pong"));
  app.webSocket("$disconnect", (ctx) => void seen.push(["gone", ctx.userId]));
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    app,
    store,
    seen,
    lines,
    connections,
    connect: (sent: Sent = {}, authorizer?: Partial<AuthorizerContext>) =>
      handler(
        connectEvent({ ...sent, ...(authorizer && { authorizer }), requestContext: { connectedAt: NOW } }),
        lambda,
      ),
    send: async (route: string, authorizer?: Partial<AuthorizerContext>) => {
      const before = connections.sent.length;
      const requestContext = { requestTimeEpoch: NOW };
      await handler(messageEvent(route, {}, { requestContext, ...(authorizer && { authorizer }) }), lambda);
      const frame = connections.sent[before]?.data;
      if (frame === undefined) return undefined;
      return (JSON.parse(frame) as { error: { code: string; message: string } }).error;
    },
    disconnect: () => handler(disconnectEvent(), lambda),
  };
}

const bearer = (token: string): Sent => ({ headers: { Authorization: `Bearer ${token}` } });

describe("a token", () => {
  it.each<[string, (token: string) => Sent]>([
    ["the query's Authorization", (token) => ({ query: { Authorization: token } })],
    [
      "the query's Authorization with its scheme",
      (token) => ({ query: { Authorization: `Bearer ${token}` } }),
    ],
    ["the query's token", (token) => ({ query: { token } })],
    ["the header", bearer],
    ["the header in lower case", (token) => ({ headers: { authorization: `bearer ${token}` } })],
    ["the subprotocols", (token) => ({ headers: { "Sec-WebSocket-Protocol": `chat.v1, bearer, ${token}` } })],
  ])("is read from %s", async (_where, sent) => {
    const { connect, store } = makeApp();
    expect((await connect(sent(await sign()))).statusCode).toBe(200);
    expect(await store.get(ID)).toMatchObject({ userId: "ada", tenantId: "acme" });
  });

  it.each<[string, Sent]>([
    ["nothing", {}],
    ["another scheme", { headers: { Authorization: "Basic YTpi" } }],
    ["an empty parameter", { query: { token: "" } }],
    ["a marker and no token", { headers: { "Sec-WebSocket-Protocol": "bearer" } }],
    ["no JWT", { query: { token: "abc" } }],
  ])("is missing in %s: 401 and no row", async (_what, sent) => {
    const { connect, store } = makeApp();
    expect(await connect(sent)).toMatchObject({ statusCode: 401 });
    expect(await store.get(ID)).toBeUndefined();
  });
});

it("requires a token also when an earlier middleware has set a user", async () => {
  const app = new Lift<object>({
    connections: recordingConnections(),
    connectionStore: memoryConnectionStore(),
    logger: jsonLogger({ level: "silent" }),
  });
  app.use((ctx, next) => {
    ctx.setUserId("eve");
    return next();
  });
  app.use(webSocketAuth(byJwt));
  expect(await app.webSocketHandler()(connectEvent(), lambdaContext())).toMatchObject({ statusCode: 401 });
});

describe("any text that a client sends", () => {
  it("is refused with 401 when it is not a token", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), fc.string(), async (query, header, protocols) => {
        const headers = { Authorization: header, "Sec-WebSocket-Protocol": `bearer, ${protocols}` };
        const { connect } = makeApp();
        expect((await connect({ query: { token: query }, headers })).statusCode).toBe(401);
      }),
    );
  });

  it("gets only an offered subprotocol, and never the token", () => {
    const name = fc.stringMatching(/^[\w.-]{1,12}$/);
    fc.assert(
      fc.property(fc.array(name), name, fc.array(name), (before, token, after) => {
        fc.pre(!before.some((each) => each.toLowerCase() === "bearer"));
        const offered = [...before, "bearer", token, ...after];
        const event = connectEvent({ headers: { "sec-websocket-protocol": offered.join(" , ") } });
        expect(tokenFromRequest(event)).toBe(token);
        const others = [...before, "bearer", ...after];
        expect(others).toContain(chooseProtocol(event, []));
        expect(others).toContain(chooseProtocol(event, offered));
      }),
    );
  });
});

describe("a JWT", () => {
  it.each<[string, { [claim: string]: unknown }, number]>([
    ["without an expiry", { exp: undefined }, 401],
    ["past its expiry", { exp: SECONDS - 5 }, 401],
    ["past its expiry by less than the tolerance", { exp: SECONDS - 4 }, 200],
    ["not valid yet", { nbf: SECONDS + 6 }, 401],
    ["valid within the tolerance", { nbf: SECONDS + 5 }, 200],
    ["of another issuer", { iss: "https://evil.example" }, 401],
    ["of no issuer", { iss: undefined }, 401],
    ["for another audience", { aud: "mail" }, 401],
    ["for no audience", { aud: undefined }, 401],
    ["for several audiences, ours among them", { aud: ["mail", AUDIENCE] }, 200],
    ["of nobody", { sub: undefined }, 401],
    ["of an empty user", { sub: "" }, 401],
    ["with a user that is not a string", { sub: 42 }, 401],
    ["without a tenant", { tenant_id: undefined }, 200],
    ["with a tenant that is not a string", { tenant_id: 42 }, 401],
    ["whose tenant is empty", { tenant_id: "" }, 401],
    ["whose permissions are no list", { permissions: { "chat:write": true } }, 401],
  ])("%s ends with its status", async (_what, claims, status) => {
    const { connect } = makeApp();
    expect((await connect(bearer(await sign(claims)))).statusCode).toBe(status);
  });

  it.each<[string, { [claim: string]: unknown }, number]>([
    ["for no audience", { aud: undefined }, 200],
    ["for the audience", {}, 200],
    ["for several audiences, ours among them", { aud: ["mail", AUDIENCE] }, 200],
    ["for another audience", { aud: "mail" }, 401],
    ["for other audiences", { aud: ["mail", "files"] }, 401],
    ["for an empty list of audiences", { aud: [] }, 401],
    ["for an audience that is null", { aud: null }, 401],
  ])("%s ends with its status, where tokens may lack an audience", async (_what, claims, status) => {
    vi.spyOn(process, "emitWarning").mockReturnValue();
    const { connect } = makeApp({ jwt: { ...jwt, allowMissingAudience: true }, now: () => NOW });
    expect((await connect(bearer(await sign(claims)))).statusCode).toBe(status);
  });

  it("that may lack an audience causes a warning at the set-up, not at each token", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    makeApp();
    expect(warn).not.toHaveBeenCalled();
    const { connect } = makeApp({ jwt: { ...jwt, allowMissingAudience: true }, now: () => NOW });
    const code = { code: "LIFT_MISSING_AUDIENCE" };
    const calls = [[expect.stringContaining("allowMissingAudience"), code]];
    expect(warn.mock.calls).toEqual(calls);
    for (const aud of [undefined, AUDIENCE]) await connect(bearer(await sign({ aud })));
    expect(warn.mock.calls).toEqual(calls);
  });

  it("is refused with a changed payload, or another or no secret or algorithm", async () => {
    const { connect } = makeApp();
    const token = await sign();
    const [header, , signature] = token.split(".");
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const forged = [
      `${header}.${encode({ ...CLAIMS, sub: "eve" })}.${signature}`,
      await sign({}, new TextEncoder().encode(`${SECRET}!`)),
      await sign({}, new TextEncoder().encode(SECRET.repeat(2)), "HS512"),
      `${encode({ alg: "none" })}.${encode(CLAIMS)}.`,
    ];
    for (const each of forged) expect((await connect(bearer(each))).statusCode).toBe(401);
    expect((await connect(bearer(token))).statusCode).toBe(200);
  });

  it.each([
    ["RS256", generateKeyPairSync("rsa", { modulusLength: 2048 })],
    ["ES256", generateKeyPairSync("ec", { namedCurve: "P-256" })],
    ["EdDSA", generateKeyPairSync("ed25519")],
  ])("is verified with a public key in PEM: %s", async (algorithm, { publicKey, privateKey }) => {
    const pem = publicKey.export({ type: "spki", format: "pem" }) as string;
    const { secret: _, ...rest } = jwt;
    const { connect } = makeApp({ ...byJwt, jwt: { ...rest, algorithms: [algorithm], publicKey: pem } });
    expect((await connect(bearer(await sign({}, privateKey, algorithm)))).statusCode).toBe(200);
    // Using the public key as an HMAC secret is a well-known forgery.
    const forged = await sign({}, new TextEncoder().encode(pem));
    expect((await connect(bearer(forged))).statusCode).toBe(401);
  });

  it("for another audience is refused with this cause in the log, where tokens may lack one", async () => {
    vi.spyOn(process, "emitWarning").mockReturnValue();
    const { connect, lines } = makeApp({ jwt: { ...jwt, allowMissingAudience: true }, now: () => NOW });
    await connect(bearer(await sign({ aud: "mail" })));
    expect(lines.join()).toContain("The token is for another audience");
  });

  it("may have its identity in custom claims", async () => {
    const identity = (claims: { [claim: string]: unknown }) => ({ userId: String(claims.uid) });
    const { connect, store } = makeApp({ ...byJwt, jwt: { ...jwt, identity } });
    await connect(bearer(await sign({ uid: "u1" })));
    expect(await store.get(ID)).toMatchObject({ userId: "u1" });
  });
});

it("fails, with the cause in the log, when the option `identity` of good claims throws", async () => {
  const identity = () => {
    throw new TypeError("claims.org is undefined");
  };
  const { connect, lines } = makeApp({ ...byJwt, jwt: { ...jwt, identity } });
  expect((await connect(bearer(await sign()))).statusCode).toBe(500);
  expect(lines.join()).toContain("claims.org is undefined");
});

describe("validateToken", () => {
  it.each([
    ["a user's id", "ada", 200],
    ["an identity", { userId: "ada", tenantId: "acme", permissions: ["chat:write"] }, 200],
    ["nothing", undefined, 401],
    ["an empty user", "", 401],
    ["a malformed identity", { userId: "ada", roles: "admin" }, 401],
    ["one that has expired", { userId: "ada", expiresAt: NOW }, 401],
  ] as const)("returns %s", async (_what, answer, status) => {
    const { connect } = makeApp({ validateToken: () => answer as never, now: () => NOW });
    expect((await connect(bearer("opaque"))).statusCode).toBe(status);
  });

  it("refuses by throwing; the log does not have the token", async () => {
    const { connect, lines } = makeApp({
      validateToken: (token) => {
        throw new Error(`${token} is unknown`);
      },
    });
    expect((await connect(bearer("opaque-token"))).statusCode).toBe(401);
    expect(lines.join()).toContain("[token] is unknown");
    expect(lines.join()).not.toContain("opaque-token");
  });

  it("may report that it is unavailable", async () => {
    const down = () => Promise.reject(new LiftError("UNAVAILABLE"));
    expect((await makeApp({ validateToken: down }).connect(bearer("opaque"))).statusCode).toBe(503);
  });
});

describe("later events", () => {
  it("have the identity, with roles and permissions, without the token", async () => {
    const { connect, send, seen } = makeApp();
    await connect(bearer(await sign()));
    expect(await send("chat")).toBeUndefined();
    expect(seen).toEqual([
      {
        userId: "ada",
        tenantId: "acme",
        roles: ["admin"],
        permissions: ["chat:write"],
        expiresAt: (SECONDS + 600) * 1_000,
      },
    ]);
  });

  it("are refused without an identity, except on skipped routes", async () => {
    const { send, seen, disconnect } = makeApp({ ...byJwt, skipRoutes: ["ping"] });
    expect(await send("chat")).toMatchObject({ code: "UNAUTHORIZED" });
    expect(await send("unknown")).toMatchObject({ code: "UNAUTHORIZED" });
    expect(await send("ping")).toBeUndefined();
    expect((await disconnect()).statusCode).toBe(200);
    expect(seen).toEqual(["pong", ["gone", undefined]]);
  });

  it("are refused after the token's expiry, except $disconnect", async () => {
    let now = NOW;
    const { connect, send, seen, disconnect } = makeApp({ ...byJwt, now: () => now });
    await connect(bearer(await sign()));
    now = (SECONDS + 605) * 1_000 - 1;
    expect(await send("chat")).toBeUndefined();
    now++;
    expect(await send("chat")).toMatchObject({ code: "TOKEN_EXPIRED", retry: true });
    await disconnect();
    expect(seen.at(-1)).toEqual(["gone", "ada"]);
  });

  it("have the permissions of the token, whatever the application's metadata", async () => {
    const { app, connect, send } = makeApp();
    app.webSocket("$connect", (ctx) => {
      ctx.setMetadata({ "lift:auth": { permissions: ["chat:write", "chat:delete"] }, device: "phone" });
    });
    await connect(bearer(await sign({ permissions: [] })));
    expect(await send("write")).toMatchObject({ code: "FORBIDDEN" });
  });

  it("have the user that the application sets on $connect", async () => {
    const { app, connect, send, seen } = makeApp({ ...byJwt, skipRoutes: ["$connect"] });
    app.webSocket("$connect", (ctx) => void seen.push(authIdentity(ctx.setUserId("ada"))));
    expect((await connect()).statusCode).toBe(200);
    await send("chat");
    expect(seen).toMatchObject([{ userId: "ada" }, { userId: "ada" }]);
  });

  it("of anonymous connections have no permission", async () => {
    const { connect, send } = makeApp({ ...byJwt, skipRoutes: ["$connect", "write", "ping"] });
    expect((await connect()).statusCode).toBe(200);
    expect(await send("ping")).toBeUndefined();
    expect(await send("write")).toMatchObject({ code: "UNAUTHORIZED" });
  });
});

describe("requirePermission", () => {
  it.each([
    [{ permissions: ["chat:write"] }, undefined, "FORBIDDEN"],
    [{ permissions: ["chat:write", "chat:delete"] }, undefined, undefined],
    [{ permissions: undefined, scope: "chat:write chat:delete" }, undefined, undefined],
    [{ permissions: undefined }, "FORBIDDEN", "FORBIDDEN"],
  ])("with %o", async (claims, write, moderate) => {
    const { connect, send } = makeApp();
    await connect(bearer(await sign(claims)));
    expect((await send("write"))?.code).toBe(write);
    expect((await send("moderate"))?.code).toBe(moderate);
  });

  it("names the missing permission in the log only", async () => {
    const { connect, send, lines } = makeApp();
    await connect(bearer(await sign()));
    expect(JSON.stringify(await send("moderate"))).not.toContain("chat:delete");
    expect(lines.join()).toContain("The permission chat:delete is missing");
  });

  it("requires a name", () => {
    expect(() => requirePermission()).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(() => requirePermission("")).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("onError", () => {
  it("is called for a refusal and cannot revoke it", async () => {
    const codes: unknown[] = [];
    const onError = (error: LiftError, ctx: AnyContext) => {
      codes.push(error.code);
      ctx.status(200);
    };
    const { connect, send } = makeApp({ ...byJwt, onError });
    expect((await connect()).statusCode).toBe(401);
    expect(await send("chat")).toMatchObject({ code: "UNAUTHORIZED" });
    expect(codes).toEqual(["UNAUTHORIZED", "UNAUTHORIZED"]);
  });

  it("may replace the error, and is not called for the handler's", async () => {
    let calls = 0;
    const onError = () => {
      calls++;
      throw new LiftError("PAYMENT_REQUIRED", { status: 402 });
    };
    const { app, connect, send } = makeApp({ ...byJwt, onError });
    app.webSocket("fail", () => {
      throw new LiftError("MINE");
    });
    expect((await connect()).statusCode).toBe(402);
    await connect(bearer(await sign()));
    expect(await send("fail")).toMatchObject({ code: "MINE" });
    expect(calls).toBe(1);
  });
});

describe("the accepted subprotocol", () => {
  const protocolOf = async (offer: string, options: Partial<WebSocketAuthOptions> = {}, own?: string) => {
    const { app, connect } = makeApp({ ...byJwt, ...options });
    if (own)
      app.webSocket("$connect", () => ({ statusCode: 200, headers: { "sec-websocket-protocol": own } }));
    else app.webSocket("$connect", () => ({ statusCode: 200 }));
    const token = await sign();
    const list = offer.replace("TOKEN", token);
    const { headers } = await connect({ headers: { "Sec-WebSocket-Protocol": list } });
    expect(JSON.stringify(headers)).not.toContain(token);
    return headers;
  };

  it("is the marker, or the application's own if it was offered", async () => {
    expect(await protocolOf("bearer, TOKEN")).toEqual({ "Sec-WebSocket-Protocol": "bearer" });
    expect(await protocolOf("chat.v1, Bearer, TOKEN")).toEqual({ "Sec-WebSocket-Protocol": "Bearer" });
    const protocols = ["chat.v2", "chat.v1"];
    expect(await protocolOf("bearer,TOKEN,chat.v1,chat.v2", { protocols })).toEqual({
      "Sec-WebSocket-Protocol": "chat.v1",
    });
  });

  it("is the handler's if it has chosen one", async () => {
    expect(await protocolOf("bearer, TOKEN, mine", {}, "mine")).toEqual({ "sec-websocket-protocol": "mine" });
  });

  it("is none when no token was sent as a subprotocol", async () => {
    const { connect } = makeApp({ ...byJwt, protocols: ["chat.v1"] });
    const token = await sign();
    const headers = { "Sec-WebSocket-Protocol": "chat.v2, chat.v1" };
    const result = await connect({ query: { token }, headers });
    expect(result).toEqual({ statusCode: 200 });
  });
});

describe("the authorizer", () => {
  const options = { ...byJwt, skipRoutes: ["ping"] };
  const authorize = (sent: Sent, own: WebSocketAuthOptions = options): Promise<AuthorizerResult> =>
    webSocketAuthorizer(own)(authorizerEvent(sent));
  /** Returns the authorizer's context as the service passes it on, with scalars as strings. */
  const passedOn = ({ context = {} }: AuthorizerResult) =>
    Object.fromEntries(Object.entries(context).map(([name, value]) => [name, String(value)]));

  it("refuses an identity that validateToken returns as expired", async () => {
    const validateToken = async () => ({ userId: "ada", expiresAt: NOW - 1 });
    await expect(authorize({ query: { token: "t" } }, { validateToken, now: () => NOW })).rejects.toThrow(
      "Unauthorized",
    );
  });

  it.each(["2020-01-01T00:00:00Z", "never"])("counts as expired when its context has exp %s", async (exp) => {
    const store = memoryConnectionStore({ now: () => NOW });
    const connections = recordingConnections();
    const logger = jsonLogger({ level: "silent" });
    const app = new Lift<object>({ connections, connectionStore: store, logger, now: () => NOW });
    app.use(webSocketAuth(options)).webSocket("say", () => {});
    const event = messageEvent("say", {}, { authorizer: { sub: "ada", exp } });
    await app.webSocketHandler()(event, lambdaContext());
    expect(connections.jsonSentTo(ID)).toMatchObject([{ error: { code: "TOKEN_EXPIRED" } }]);
  });

  it("allows $connect, with the identity in its context", async () => {
    const result = await authorize({ query: { token: await sign() } });
    expect(result).toEqual({
      principalId: "ada",
      policyDocument: {
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Action: "execute-api:Invoke",
            Resource: "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/test/$connect",
          },
        ],
      },
      context: {
        sub: "ada",
        tenant_id: "acme",
        roles: '["admin"]',
        permissions: '["chat:write"]',
        exp: SECONDS + 600,
      },
    });
  });

  it.each<[string, number | undefined, number]>([
    ["none", undefined, SECONDS + 600],
    ["a later one", NOW + 3_600_000, SECONDS + 600],
    ["an earlier one", NOW + 60_000, SECONDS + 60],
  ])("has the token's expiry when the application's identity has %s", async (_what, expiresAt, exp) => {
    const identity = () => ({ userId: "ada", ...(expiresAt !== undefined && { expiresAt }) });
    const result = await authorize(bearer(await sign()), { ...options, jwt: { ...jwt, identity } });
    expect(result.context).toEqual({ sub: "ada", exp });
  });

  it("provides the identity of every event without a token, a row or a store", async () => {
    const app = makeApp(options);
    const context = passedOn(await authorize(bearer(await sign())));
    const { app: _, ...bare } = makeApp(options, { connectionStore: undefined as never });
    for (const { connect, send, seen } of [app, bare]) {
      expect((await connect({}, context)).statusCode).toBe(200);
      expect(await send("chat", context)).toBeUndefined();
      expect(await send("write", context)).toBeUndefined();
      expect(await send("moderate", context)).toMatchObject({ code: "FORBIDDEN" });
      expect(seen).toEqual([expect.objectContaining({ userId: "ada", roles: ["admin"] }), "written"]);
    }
  });

  it("is trusted until the token's expiry only", async () => {
    let now = NOW;
    const { send } = makeApp({ ...options, now: () => now });
    const context = passedOn(await authorize(bearer(await sign())));
    expect(await send("chat", context)).toBeUndefined();
    now = (SECONDS + 606) * 1_000;
    expect(await send("chat", context)).toMatchObject({ code: "TOKEN_EXPIRED" });
  });

  it("is not trusted after the token's expiry without a store", async () => {
    const { send } = makeApp(options, { connectionStore: undefined as never });
    expect(await send("chat", { sub: "ada", exp: String(SECONDS - 6) })).toMatchObject({
      code: "TOKEN_EXPIRED",
    });
  });

  it.each(["chat:write,chat:delete", "chat:write chat:delete", '["chat:write", "chat:delete"]'])(
    "may be another authorizer that writes permissions as %s",
    async (permissions) => {
      const { send } = makeApp(options);
      expect(await send("moderate", { sub: "ada", permissions })).toBeUndefined();
    },
  );

  it.each(["[broken", "[1]", "", "{}"])("reads %s as no permission", async (permissions) => {
    const { send } = makeApp(options);
    expect(await send("write", { sub: "ada", permissions })).toMatchObject({ code: "FORBIDDEN" });
  });

  it("leaves the identity to the token when its context has no user", async () => {
    const { connect, send, store } = makeApp();
    expect((await connect(bearer(await sign()), { plan: "free" })).statusCode).toBe(200);
    expect(await store.get(ID)).toMatchObject({ userId: "ada" });
    expect(await send("write", { plan: "free" })).toBeUndefined();
  });

  it("refuses with the word to which the service responds with 401", async () => {
    await expect(authorize({})).rejects.toEqual(new Error("Unauthorized"));
    await expect(authorize(bearer("forged"))).rejects.toEqual(new Error("Unauthorized"));
  });

  it("fails with another error when the token could not be verified", async () => {
    const down = { validateToken: () => Promise.reject(new LiftError("UNAVAILABLE")) };
    await expect(authorize(bearer("opaque"), down)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("allows everyone when $connect is skipped", async () => {
    expect(await authorize({}, { ...options, skipRoutes: ["$connect"] })).toMatchObject({
      principalId: "anonymous",
      context: {},
    });
  });

  it("reports an identity that is too large for the service", async () => {
    const permissions = Array.from({ length: 1_000 }, (_, n) => `permission:${n}`);
    await expect(authorize(bearer(await sign({ permissions })))).rejects.toMatchObject({
      code: "INVALID_RESULT",
      message: "The identity is too large; an authorizer's result can have 8192 bytes",
    });
  });
});

it("requires a store or an authorizer for later events", async () => {
  const { connect, lines } = makeApp(byJwt, { connectionStore: undefined as never });
  expect((await connect(bearer(await sign()))).statusCode).toBe(500);
  expect(lines.join()).toContain("Authentication requires the option `connectionStore` or an authorizer");
});

describe("options that throw at construction", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" });
  const privatePem = privateKey.export({ type: "pkcs8", format: "pem" });
  const { secret: _, ...keyless } = jwt;
  it.each<[string, object]>([
    ["neither way to check", {}],
    ["both ways to check", { jwt, validateToken: () => "ada" }],
    ["an unknown one", { jwt, secret: SECRET }],
    ["no algorithms", { jwt: { ...jwt, algorithms: [] } }],
    ["the algorithm none", { jwt: { ...jwt, algorithms: ["none"] } }],
    ["a public key's algorithm with a secret", { jwt: { ...jwt, algorithms: ["HS256", "RS256"] } }],
    ["a secret's algorithm with a public key", { jwt: { ...keyless, publicKey: pem } }],
    ["an algorithm that is a number", { jwt: { ...jwt, algorithms: ["HS256", 1] } }],
    ["no issuer", { jwt: { ...jwt, issuer: undefined } }],
    ["an issuer that is a number", { jwt: { ...jwt, issuer: [ISSUER, 1] } }],
    ["no audience", { jwt: { ...jwt, audience: [] } }],
    ["no key", { jwt: keyless }],
    ["two keys", { jwt: { ...jwt, publicKey: pem } }],
    ["a secret that is a number", { jwt: { ...jwt, secret: 42 } }],
    ["a short secret", { jwt: { ...jwt, secret: "short" } }],
    ["a secret too short for its longest algorithm", { jwt: { ...jwt, algorithms: ["HS256", "HS512"] } }],
    ["a private key", { jwt: { ...keyless, algorithms: ["EdDSA"], publicKey: privatePem } }],
    ["a key that is none", { jwt: { ...keyless, algorithms: ["EdDSA"], publicKey: "none" } }],
    ...["x.example", "127.evil.example", "127.0.0.1.evil.example", "evil.localhost", "[::2]"].map(
      (host): [string, object] => [
        `keys by plain HTTP from ${host}`,
        { jwt: { ...keyless, algorithms: ["RS256"], jwksUri: `http://${host}/jwks.json` } },
      ],
    ),
    ...[0, 1.5, 2 ** 31, Number.POSITIVE_INFINITY].map((timeoutMs): [string, object] => [
      `a timeout of ${timeoutMs} ms for keys`,
      {
        jwt: { ...keyless, algorithms: ["RS256"], jwksUri: "https://issuer.example", jwks: { timeoutMs } },
      },
    ]),
    ["too much tolerance", { jwt: { ...jwt, clockToleranceSeconds: 301 } }],
    ["negative tolerance", { jwt: { ...jwt, clockToleranceSeconds: -1 } }],
    ["tolerance as text", { jwt: { ...jwt, clockToleranceSeconds: "5" } }],
    ["keys at no URL", { jwt: { ...keyless, algorithms: ["RS256"], jwksUri: "issuer.example" } }],
    ["keys at a URL object", { jwt: { ...keyless, algorithms: ["RS256"], jwksUri: new URL(ISSUER) } }],
    ["a route that is none", { jwt, skipRoutes: [1] }],
  ])("%s", (_what, options) => {
    let thrown: unknown;
    try {
      webSocketAuth(options as never);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "INVALID_OPTION" });
    expect(String(thrown)).not.toContain(SECRET);
  });

  it("are named with the options that they are in", () => {
    const keys = { jwksUri: ISSUER, jwks: { timeoutMs: 0 } };
    expect(() => webSocketAuth({ jwt: { ...keyless, algorithms: ["RS256"], ...keys } })).toThrow(
      "`jwt.jwks.timeoutMs`",
    );
  });

  it.each([0, 300])("do not include a tolerance of %s s", (clockToleranceSeconds) => {
    expect(() => webSocketAuth({ jwt: { ...jwt, clockToleranceSeconds } })).not.toThrow();
  });

  it.each(["localhost", "LOCALHOST.", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"])(
    "do not include keys by plain HTTP from %s",
    (host) => {
      const jwksUri = `http://${host}:8080/jwks.json`;
      expect(() => webSocketAuth({ jwt: { ...keyless, algorithms: ["RS256"], jwksUri } })).not.toThrow();
    },
  );

  it.each([
    ["", "`jwt.secret` is empty; set the variable it comes from. HS256 requires at least 32 bytes"],
    [undefined, "`jwt.secret` is empty; set the variable it comes from. HS256 requires at least 32 bytes"],
    ["short", "`jwt.secret` has 5 bytes. HS256 requires at least 32 bytes (openssl rand -base64 32)"],
  ])("include the secret %j, with the remedy in the message", (secret, message) => {
    expect(() => webSocketAuth({ jwt: { ...jwt, secret } as never })).toThrow(message);
  });
});
