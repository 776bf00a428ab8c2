import { describe, expect, it } from "vitest";
import type { AuthorizerContext } from "../../../apigw/index.ts";
import { memoryConnectionStore, memorySchedule } from "../../../store/memory/index.ts";
import { connectHandler, jsonLogger, Lift, type LiftError } from "../../index.ts";
import { connectEvent, lambdaContext, messageEvent, recordingConnections } from "../../testing/index.ts";
import { type ConnectAuthOptions, connectAuth, webSocketAuth } from "./index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

/** Tokens and their identities. */
const IDENTITIES = new Map([
  ["ada", { userId: "ada", tenantId: "acme", roles: ["admin"], permissions: [], expiresAt: NOW + MINUTE }],
  ["late", { userId: "ada", expiresAt: NOW - MINUTE }],
]);

const validateToken = async (token: string) => {
  if (token === "broken") throw new Error("The session broken is unknown");
  return IDENTITIES.get(token);
};

describe.each([
  ["connectAuth", connectAuth],
  ["webSocketAuth", webSocketAuth],
])("$connect with %s", (_name, auth) => {
  type Sent = {
    query?: { [name: string]: string };
    headers?: { [name: string]: string };
    authorizer?: Partial<AuthorizerContext>;
  };
  const connect = async (sent: Sent, options: Partial<ConnectAuthOptions> = {}, hasStore = true) => {
    const now = () => NOW;
    const store = memoryConnectionStore({ now });
    const schedule = memorySchedule();
    const lines: string[] = [];
    const handler = connectHandler({
      ...(hasStore ? { connectionStore: store } : {}),
      schedule,
      now,
      logger: jsonLogger({ write: (_level, line) => lines.push(line) }),
      middleware: [auth({ validateToken, now, ...options })],
    });
    const event = connectEvent({ ...sent, requestContext: { connectedAt: NOW } });
    const result = await handler(event, lambdaContext());
    return { result, row: await store.get(ID), scheduled: [...(schedule.listAll?.() ?? [])], lines };
  };

  it("saves the identity of a token, and schedules its expiry", async () => {
    const { result, row, scheduled } = await connect({ query: { token: "ada" } });
    expect(result.statusCode).toBe(200);
    expect(row).toMatchObject({
      userId: "ada",
      tenantId: "acme",
      metadata: { "lift:auth": { roles: ["admin"], permissions: [], expiresAt: NOW + MINUTE } },
    });
    expect(scheduled).toEqual([
      expect.objectContaining({ kind: "lift:auth.expiry", id: ID, dueAt: NOW + MINUTE }),
    ]);
  });

  it.each([
    ["no token", {}, "UNAUTHORIZED"],
    ["an unknown token", { query: { token: "eve" } }, "UNAUTHORIZED"],
    ["a token that throws", { query: { token: "broken" } }, "UNAUTHORIZED"],
    ["an expired token", { query: { token: "late" } }, "TOKEN_EXPIRED"],
    ["an expired authorizer", { authorizer: { sub: "ada", exp: "1" } }, "TOKEN_EXPIRED"],
  ])("refuses %s with 401, after onError", async (_what, sent, code) => {
    const errors: string[] = [];
    const onError = (error: LiftError) => void errors.push(error.code);
    const { result, row, scheduled, lines } = await connect(sent, { onError });
    expect([result.statusCode, row, scheduled, errors]).toEqual([401, undefined, [], [code]]);
    expect(lines.join()).not.toContain("The session broken");
  });

  it("takes the identity from an authorizer, without a token", async () => {
    const exp = String(NOW / 1_000 + 60);
    const { result, row } = await connect({ authorizer: { sub: "bob", roles: "admin", exp } });
    expect(result.statusCode).toBe(200);
    expect(row).toMatchObject({ userId: "bob", metadata: { "lift:auth": { roles: ["admin"] } } });
  });

  it("accepts a subprotocol of the application beside a token in the subprotocols", async () => {
    const headers = { "Sec-WebSocket-Protocol": "chat.v1, bearer, ada" };
    const { result } = await connect({ headers }, { protocols: ["chat.v1"] });
    expect(result.headers).toEqual({ "Sec-WebSocket-Protocol": "chat.v1" });
  });

  it("requires a store or an authorizer", async () => {
    const { result, lines } = await connect({ query: { token: "ada" } }, {}, false);
    expect([result.statusCode, lines.join()]).toEqual([500, expect.stringContaining("STORE_REQUIRED")]);
  });
});

describe("connectAuth", () => {
  it("refuses messages", async () => {
    const connections = recordingConnections();
    const logger = jsonLogger({ level: "silent" });
    const app = new Lift({ connections, connectionStore: memoryConnectionStore(), logger });
    app.use(connectAuth({ validateToken })).webSocket("a", (ctx) => ctx.reply("never"));
    await app.webSocketHandler()(messageEvent("a", {}), lambdaContext());
    expect(connections.sent.map(({ data }) => data)).toEqual([expect.stringContaining("UNAUTHORIZED")]);
  });

  it.each([
    [{}, "`validateToken` is required"],
    [{ validateToken, jwt: {} }, "Unknown option `jwt`"],
    [{ validateToken, protocols: "chat" }, "`protocols` must be an array of strings"],
  ])("rejects the options %o", (options, message) => {
    expect(() => connectAuth(options as never)).toThrow(message);
  });
});
