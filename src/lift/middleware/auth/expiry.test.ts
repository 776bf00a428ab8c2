import { SignJWT } from "jose";
import { describe, expect, it, vi } from "vitest";
import type { AuthorizerContext } from "../../../apigw/index.ts";
import type { Json } from "../../../store/index.ts";
import { memoryConnectionStore, memorySchedule } from "../../../store/memory/index.ts";
import { type AnyContext, jsonLogger, Lift, type LiftOptions } from "../../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { authIdentity, requirePermission, type WebSocketAuthOptions, webSocketAuth } from "./index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const START = Date.UTC(2026, 0, 1);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const TOLERANCE = 5 * SECOND;
const SECRET = new TextEncoder().encode("a secret of thirty-two bytes, or more");
const jwt = { algorithms: ["HS256"], secret: SECRET, issuer: "me", audience: "chat" };

type Claims = { [claim: string]: unknown };

const sign = (claims: Claims = {}) =>
  new SignJWT({ iss: "me", aud: "chat", sub: "ada", tenant_id: "acme", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(SECRET);

/** An app whose clock stands still until it is moved, and a connection that comes and goes. */
function world(options: Partial<WebSocketAuthOptions> = {}, lift: Partial<LiftOptions<object>> = {}) {
  let time = START;
  const now = () => time;
  const store = memoryConnectionStore({ now });
  const schedule = memorySchedule();
  const connections = recordingConnections();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", write: (_level, line) => lines.push(line) });
  const app = new Lift<object>({ connectionStore: store, schedule, connections, logger, now, ...lift });
  const auth = webSocketAuth({ ...(options.validateToken ? {} : { jwt }), now, ...options });
  app.use(auth);
  app.webSocket("auth.refresh", auth.refresh);
  app.webSocket("who", (ctx) => ctx.reply({ who: authIdentity(ctx) }).then(() => {}));
  app.webSocket("write", { middleware: [requirePermission("write")] }, (ctx) =>
    ctx.reply("ok").then(() => {}),
  );
  const handler = app.webSocketHandler();
  let authorizer: Partial<AuthorizerContext> | undefined;
  const common = () => ({
    requestContext: { connectedAt: START, requestTimeEpoch: time },
    ...(authorizer && { authorizer }),
  });
  return {
    app,
    store,
    schedule,
    connections,
    lines,
    /** ms after the start: that late it becomes. */
    at: (ms: number) => {
      time = START + ms;
    },
    authorizedBy: (context: Partial<AuthorizerContext>) => {
      authorizer = context;
    },
    connect: async (claims: Claims = {}) =>
      handler(connectEvent({ query: { token: await sign(claims) }, ...common() }), lambdaContext()),
    /** The frame that answers a message. */
    send: async (route: string, fields: { [name: string]: Json } = {}) => {
      const before = connections.sent.length;
      await handler(messageEvent(route, { id: "m1", ...fields }, common()), lambdaContext());
      const frame = connections.sent[before]?.data;
      return frame === undefined ? undefined : (JSON.parse(frame) as unknown);
    },
    disconnect: () => handler(disconnectEvent(common()), lambdaContext()),
    scheduled: async () => {
      const items = [];
      for await (const item of schedule.listDue(START + 3 * 60 * MINUTE)) items.push(item);
      return items;
    },
  };
}

const inSeconds = (ms: number) => (START + ms) / SECOND;
const expired = { type: "error", error: expect.objectContaining({ code: "TOKEN_EXPIRED", retry: true }) };

it("tells a connection whose token has expired, and closes it, at the first tick that it may", async () => {
  const { app, at, connect, connections, scheduled } = world();
  await connect({ exp: inSeconds(MINUTE) });
  at(MINUTE + TOLERANCE - 1);
  await app.tick();
  expect(connections.disconnected).toEqual([]);
  at(MINUTE + TOLERANCE);
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
  expect(connections.jsonSentTo(ID)).toEqual([expired]);
  expect(connections.disconnected).toEqual([ID]);
  expect(await scheduled()).toEqual([]);
});

it("closes at the expiry that validateToken tells, without a tolerance", async () => {
  const validateToken = () => ({ userId: "ada", expiresAt: START + MINUTE });
  const { app, at, connect, connections } = world({ validateToken });
  await connect();
  at(MINUTE - 1);
  await app.tick();
  expect(connections.disconnected).toEqual([]);
  at(MINUTE);
  await app.tick();
  expect(connections.disconnected).toEqual([ID]);
});

describe("an identity of the application's own", () => {
  const lasting = (expiresAt?: number) => ({
    jwt: { ...jwt, identity: () => ({ userId: "ada", tenantId: "acme", ...(expiresAt && { expiresAt }) }) },
  });

  it.each<[string, number | undefined, number]>([
    ["no expiry", undefined, 2 * MINUTE],
    ["an expiry after the token's", START + 60 * MINUTE, 2 * MINUTE],
    ["an expiry before the token's", START + MINUTE, MINUTE],
  ])("with %s ends the connection at the earlier of the two", async (_what, expiresAt, end) => {
    const { app, at, connect, connections, send } = world(lasting(expiresAt));
    expect((await connect({ exp: inSeconds(2 * MINUTE) })).statusCode).toBe(200);
    at(end + TOLERANCE - 1);
    expect(await send("write")).toMatchObject({ error: { code: "FORBIDDEN" } });
    await app.tick();
    expect(connections.disconnected).toEqual([]);
    at(end + TOLERANCE);
    expect(await send("write")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
    await app.tick();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("does not outlive the token of a refresh", async () => {
    const { app, at, connect, connections, send } = world(lasting());
    await connect({ exp: inSeconds(MINUTE) });
    const token = await sign({ exp: inSeconds(3 * MINUTE) });
    expect(await send("auth.refresh", { token })).toMatchObject({ data: { expiresAt: START + 3 * MINUTE } });
    at(3 * MINUTE + TOLERANCE);
    await app.tick();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("is read when it is given by a promise, or as a user's id alone", async () => {
    for (const given of [Promise.resolve({ userId: "ada" }), "ada"]) {
      const { connect, send } = world({ jwt: { ...jwt, identity: () => given as never } });
      await connect({ exp: inSeconds(MINUTE) });
      expect(await send("who")).toMatchObject({ who: { userId: "ada", expiresAt: START + MINUTE } });
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, "never"])(
    "with the expiry %s is refused",
    async (expiresAt) => {
      const identity = () => ({ userId: "ada", expiresAt: expiresAt as number });
      const { connect } = world({ jwt: { ...jwt, identity } });
      expect((await connect({ exp: inSeconds(MINUTE) })).statusCode).toBe(401);
    },
  );
});

it("refuses a token whose expiry is past all numbers", async () => {
  expect((await world().connect({ exp: 1e308 })).statusCode).toBe(401);
});

it("is to reach a connection by the endpoint that it came by", async () => {
  const { connect, scheduled } = world();
  await connect({ exp: inSeconds(MINUTE) });
  const { domainName, stage } = connectEvent().requestContext;
  expect(await scheduled()).toEqual([
    expect.objectContaining({ data: { endpoint: `https://${domainName}/${stage}`, connectedAt: START } }),
  ]);
});

it("closes one that reads too slowly to be told", async () => {
  const { app, at, connect, connections } = world();
  await connect({ exp: inSeconds(MINUTE) });
  connections.throttled(ID);
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(connections.disconnected).toEqual([ID]);
});

it("tries again a moment later what could not be closed", async () => {
  const { app, at, connect, connections } = world();
  await connect({ exp: inSeconds(MINUTE) });
  const disconnect = vi.spyOn(connections, "disconnect").mockRejectedValueOnce(new Error("no network"));
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 0, failed: 1 });
  at(2 * MINUTE + SECOND);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(disconnect).toHaveBeenCalledTimes(2);
  expect(connections.disconnected).toEqual([ID]);
});

it("goes on trying to close a connection, however often that fails", async () => {
  const { app, at, connect, connections, schedule } = world(
    {},
    { scheduleRetry: { tries: 1, longestMs: MINUTE } },
  );
  await connect({ exp: inSeconds(MINUTE) });
  const disconnect = vi.spyOn(connections, "disconnect").mockRejectedValue(new Error("no network"));
  for (let minute = 2; minute < 32; minute++) {
    at(minute * MINUTE);
    await app.tick();
  }
  expect(disconnect).toHaveBeenCalledTimes(30);
  for await (const _ of schedule.listDeadLetters()) expect.unreachable();
});

it("does no harm when two ticks close at once, or one connection twice", async () => {
  const { app, at, connect, connections } = world();
  await connect({ exp: inSeconds(MINUTE) });
  at(2 * MINUTE);
  const reports = await Promise.all([app.tick(), app.tick()]);
  for (const report of reports) expect(report.failed).toBe(0);
  expect(connections.disconnected).toEqual([ID]);
});

it("waits for a connection whose $connect has not ended, and looks like one that has gone", async () => {
  const { app, at, connect, connections, scheduled } = world();
  await connect({ exp: inSeconds(SECOND) });
  const post = vi.spyOn(connections, "post").mockResolvedValueOnce("gone");
  at(SECOND + TOLERANCE);
  await app.tick();
  expect(connections.disconnected).toEqual([]);
  expect(await scheduled()).toEqual([expect.objectContaining({ dueAt: START + 30 * SECOND })]);
  at(30 * SECOND);
  await app.tick();
  expect(post).toHaveBeenCalledTimes(2);
  expect(connections.disconnected).toEqual([ID]);
  expect(await scheduled()).toEqual([]);
});

it("lets go of a connection that has gone without a $disconnect", async () => {
  const { app, at, connect, connections, scheduled } = world();
  await connect({ exp: inSeconds(MINUTE) });
  connections.gone(ID);
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(await scheduled()).toEqual([]);
});

it("takes a connection that ends out of the schedule", async () => {
  const { connect, disconnect, scheduled } = world();
  await connect({ exp: inSeconds(MINUTE) });
  expect(await scheduled()).toHaveLength(1);
  await disconnect();
  expect(await scheduled()).toEqual([]);
});

it("lets a connection end whose schedule can't be reached", async () => {
  const { connect, disconnect, schedule, store, lines } = world();
  await connect({ exp: inSeconds(MINUTE) });
  vi.spyOn(schedule, "delete").mockRejectedValue(new Error("throttled"));
  expect((await disconnect()).statusCode).toBe(200);
  expect(await store.get(ID)).toBeUndefined();
  expect(lines.join()).toContain("throttled");
});

it("refuses a connection whose end can't be scheduled, and keeps no row", async () => {
  const { connect, schedule, store } = world();
  vi.spyOn(schedule, "put").mockRejectedValue(new Error("throttled"));
  expect((await connect({ exp: inSeconds(MINUTE) })).statusCode).toBe(503);
  expect(await store.get(ID)).toBeUndefined();
});

it("schedules nothing for who is refused, for a token that lasts, and for one that outlives the connection", async () => {
  const refused = world();
  await refused.connect({ exp: inSeconds(-MINUTE) });
  const lasting = world({ validateToken: () => "ada" });
  await lasting.connect();
  const long = world();
  await long.connect({ exp: inSeconds(120 * MINUTE) });
  for (const { scheduled } of [refused, lasting, long]) expect(await scheduled()).toEqual([]);
});

it("is not asked of an app without a schedule: its messages are refused all the same", async () => {
  const { app, at, connect, send } = world({}, { schedule: undefined } as never);
  await connect({ exp: inSeconds(MINUTE) });
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 0 });
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("closes a connection that an authorizer let in, with a store or without", async () => {
  for (const connectionStore of [memoryConnectionStore({ now: () => START }), undefined]) {
    const it = world({}, { connectionStore } as never);
    it.authorizedBy({ sub: "ada", exp: String(inSeconds(MINUTE)) });
    await it.connect();
    it.at(2 * MINUTE);
    await it.app.tick();
    expect(it.connections.disconnected).toEqual([ID]);
  }
});

// --- Refreshed on the socket

const minutes = (n: number) => ({ exp: inSeconds(n * MINUTE) });

it("is put off by a new token on the socket, whose rights are the connection's from then on", async () => {
  const { app, at, connect, connections, send, scheduled } = world();
  await connect({ ...minutes(1), permissions: [] });
  expect(await send("write")).toMatchObject({ error: { code: "FORBIDDEN" } });
  const token = await sign({ ...minutes(3), permissions: ["write"] });
  expect(await send("auth.refresh", { token })).toEqual({
    type: "response",
    request_id: "m1",
    success: true,
    data: { expiresAt: START + 3 * MINUTE },
  });
  expect(await scheduled()).toEqual([expect.objectContaining({ dueAt: START + 3 * MINUTE + TOLERANCE })]);
  at(2 * MINUTE);
  await app.tick();
  expect(await send("write")).toBe("ok");
  expect(connections.disconnected).toEqual([]);
  at(3 * MINUTE + TOLERANCE);
  expect(await send("write")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
  await app.tick();
  expect(connections.disconnected).toEqual([ID]);
});

it("takes rights away that the new token has no more, and the time too", async () => {
  const { at, connect, send } = world();
  await connect({ ...minutes(10), permissions: ["write"] });
  await send("auth.refresh", { token: await sign({ ...minutes(1), permissions: [] }) });
  expect(await send("write")).toMatchObject({ error: { code: "FORBIDDEN" } });
  at(2 * MINUTE);
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("finds the new expiry on the row when the schedule could not be told of it", async () => {
  const { app, at, connect, connections, send, schedule, scheduled } = world();
  await connect(minutes(1));
  vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("throttled"));
  const token = await sign(minutes(3));
  expect(await send("auth.refresh", { token })).toMatchObject({
    error: { code: "STORE_FAILED", retry: true },
  });
  at(2 * MINUTE);
  await app.tick();
  expect(connections.disconnected).toEqual([]);
  expect(await scheduled()).toEqual([expect.objectContaining({ dueAt: START + 3 * MINUTE + TOLERANCE })]);
  at(4 * MINUTE);
  await app.tick();
  expect(connections.disconnected).toEqual([ID]);
});

it("does not undo a refresh to a shorter token that comes while the tick puts the end off", async () => {
  const { app, at, connect, connections, schedule, scheduled, send } = world();
  await connect(minutes(1));
  const put = schedule.put.bind(schedule);
  const spy = vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("throttled"));
  await send("auth.refresh", { token: await sign(minutes(60)) });
  at(2 * MINUTE);
  const tokens = [await sign(minutes(30)), await sign(minutes(3))];
  // Before each of the tick's own writes.
  spy.mockImplementation(async (item) => {
    const token = tokens.shift();
    spy.mockImplementationOnce(put);
    if (token !== undefined) await send("auth.refresh", { token });
    await put(item);
  });
  await app.tick();
  expect(tokens).toEqual([]);
  expect(await scheduled()).toEqual([expect.objectContaining({ dueAt: START + 3 * MINUTE + TOLERANCE })]);
  at(4 * MINUTE);
  await app.tick();
  expect(connections.disconnected).toEqual([ID]);
});

it("is over for a connection that was refreshed to a token that lasts", async () => {
  let expiresAt: number | undefined = START + MINUTE;
  const validateToken = () => ({ userId: "ada", tenantId: "acme", expiresAt });
  const { app, at, connect, connections, send, scheduled } = world({ validateToken });
  await connect();
  expiresAt = undefined;
  expect(await send("auth.refresh", { token: "new" })).toMatchObject({ success: true, data: {} });
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1 });
  expect(connections.disconnected).toEqual([]);
  expect(await scheduled()).toEqual([]);
});

it("ends the schedule of a connection that was refreshed and left", async () => {
  const { connect, send, disconnect, scheduled } = world();
  await connect(minutes(1));
  await send("auth.refresh", { token: await sign(minutes(3)) });
  expect(await scheduled()).toHaveLength(1);
  await disconnect();
  expect(await scheduled()).toEqual([]);
});

it.each([
  ["another user", { sub: "eve" }],
  ["another tenant", { tenant_id: "evil" }],
  ["no tenant", { tenant_id: undefined }],
])("closes a connection whose new token is for %s, and gives it nothing", async (_whose, claims) => {
  const told: string[] = [];
  const { connect, connections, send, store } = world({ onError: ({ code }) => void told.push(code) });
  await connect(minutes(1));
  const before = await store.get(ID);
  const token = await sign({ ...minutes(3), ...claims });
  expect(await send("auth.refresh", { token })).toMatchObject({
    request_id: "m1",
    error: { code: "FORBIDDEN", retry: false },
  });
  expect(connections.disconnected).toEqual([ID]);
  expect(connections.sent).toHaveLength(1);
  expect(await store.get(ID)).toEqual(before);
  expect(told).toEqual(["FORBIDDEN"]);
});

it.each<[string, { [name: string]: Json }, string]>([
  ["no token", {}, "VALIDATION_ERROR"],
  ["a token that is no text", { token: 1 }, "VALIDATION_ERROR"],
  ["a forged token", { token: "abc.def.ghi" }, "UNAUTHORIZED"],
])("leaves a connection as it is that brings %s", async (_what, fields, code) => {
  const { at, connect, connections, send } = world();
  await connect(minutes(1));
  expect(await send("auth.refresh", fields)).toMatchObject({ error: { code } });
  expect(await send("who")).toMatchObject({ who: { userId: "ada" } });
  expect(connections.disconnected).toEqual([]);
  at(2 * MINUTE);
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("takes no token that has expired, nor a good one once the old has", async () => {
  let expiresAt = START + MINUTE;
  const validateToken = () => ({ userId: "ada", expiresAt });
  const { at, connect, send } = world({ validateToken });
  await connect();
  expiresAt = START;
  expect(await send("auth.refresh", { token: "old" })).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
  expiresAt = START + 10 * MINUTE;
  at(2 * MINUTE);
  expect(await send("auth.refresh", { token: "late" })).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("takes none from a connection that is nobody's, has no row any more, or has no store", async () => {
  const anonymous = world({ skipRoutes: ["$connect", "auth.refresh"] });
  await anonymous.connect();
  const token = await sign(minutes(3));
  expect(await anonymous.send("auth.refresh", { token })).toMatchObject({ error: { code: "UNAUTHORIZED" } });

  const left = world();
  left.authorizedBy({ sub: "ada", tenant_id: "acme", exp: String(inSeconds(MINUTE)) });
  expect(await left.send("auth.refresh", { token })).toMatchObject({ error: { code: "CONNECTION_CLOSED" } });

  const storeless = world({}, { connectionStore: undefined } as never);
  storeless.authorizedBy({ sub: "ada", tenant_id: "acme" });
  expect(await storeless.send("auth.refresh", { token })).toMatchObject({
    error: { code: "INTERNAL_ERROR" },
  });
  expect(storeless.lines.join()).toContain("STORE_REQUIRED");
});

it("is looked for on the row once the authorizer's word is past its expiry, and not before", async () => {
  const { at, authorizedBy, connect, send, store } = world();
  authorizedBy({ sub: "ada", tenant_id: "acme", exp: String(inSeconds(MINUTE)) });
  await connect();
  const get = vi.spyOn(store, "get");
  await send("auth.refresh", { token: await sign({ ...minutes(3), permissions: ["write"] }) });
  expect(await send("who")).toMatchObject({ who: { userId: "ada", permissions: [] } });
  expect(get).not.toHaveBeenCalled();
  at(2 * MINUTE);
  expect(await send("write")).toBe("ok");
  expect(get).toHaveBeenCalledTimes(1);
  at(4 * MINUTE);
  expect(await send("write")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("can't be put off by a client that chooses the keys of its state", async () => {
  const { app, at, connect, send, lines } = world();
  app.webSocket("set", (ctx: AnyContext) => void ctx.set(String(ctx.body("key")), ctx.body("value")));
  app.webSocket("update", async (ctx: AnyContext) => {
    await ctx.update(String(ctx.body("key")), () => ctx.body("value"));
  });
  await connect({ ...minutes(1), permissions: [] });
  const forged = { key: "lift:auth", value: { permissions: ["write"], expiresAt: START + 60 * MINUTE } };
  for (const route of ["set", "update"]) {
    expect(await send(route, forged)).toMatchObject({ error: { code: "INTERNAL_ERROR" } });
  }
  expect(lines.join()).toContain("RESERVED_KEY");
  expect(await send("write")).toMatchObject({ error: { code: "FORBIDDEN" } });
  at(2 * MINUTE);
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("leaves no token in the log", async () => {
  const { app, at, connect, send, lines } = world();
  const tokens = [await sign(minutes(1)), await sign(minutes(3)), await sign({ ...minutes(3), sub: "eve" })];
  await connect(minutes(1));
  for (const token of [...tokens, "not.a.token"]) await send("auth.refresh", { token });
  at(10 * MINUTE);
  await app.tick();
  for (const token of [...tokens, "not.a.token"]) expect(lines.join()).not.toContain(token);
});
