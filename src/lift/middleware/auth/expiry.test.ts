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

/** Creates an app with a manual clock and a connection. */
function setUp(options: Partial<WebSocketAuthOptions> = {}, lift: Partial<LiftOptions<object>> = {}) {
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
    auth,
    store,
    schedule,
    connections,
    lines,
    /** Sets the clock to a time in ms after the start. */
    at: (ms: number) => {
      time = START + ms;
    },
    authorizedBy: (context: Partial<AuthorizerContext>) => {
      authorizer = context;
    },
    connect: async (claims: Claims = {}) =>
      handler(connectEvent({ query: { token: await sign(claims) }, ...common() }), lambdaContext()),
    /** Returns the frame that responds to a message. */
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

it("sends an error frame to an expired connection and closes it at the first tick", async () => {
  const { app, at, connect, connections, scheduled } = setUp();
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

it("schedules and removes nothing without a `schedule`", async () => {
  const { connect, disconnect, lines } = setUp({}, { schedule: undefined as never });
  await connect({ exp: inSeconds(MINUTE) });
  await disconnect();
  expect(lines.join()).not.toContain("was not removed");
});

it("closes at the expiry from validateToken, without tolerance", async () => {
  const validateToken = () => ({ userId: "ada", expiresAt: START + MINUTE });
  const { app, at, connect, connections } = setUp({ validateToken });
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
  ])("with %s closes the connection at the earlier expiry", async (_what, expiresAt, end) => {
    const { app, at, connect, connections, send } = setUp(lasting(expiresAt));
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

  it("expires no later than the token of a refresh", async () => {
    const { app, at, connect, connections, send } = setUp(lasting());
    await connect({ exp: inSeconds(MINUTE) });
    const token = await sign({ exp: inSeconds(3 * MINUTE) });
    expect(await send("auth.refresh", { token })).toMatchObject({ data: { expiresAt: START + 3 * MINUTE } });
    at(3 * MINUTE + TOLERANCE);
    await app.tick();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("may be a promise, or a user's id alone", async () => {
    for (const given of [Promise.resolve({ userId: "ada" }), "ada"]) {
      const { connect, send } = setUp({ jwt: { ...jwt, identity: () => given as never } });
      await connect({ exp: inSeconds(MINUTE) });
      expect(await send("who")).toMatchObject({ who: { userId: "ada", expiresAt: START + MINUTE } });
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, "never"])(
    "with the expiry %s is refused",
    async (expiresAt) => {
      const identity = () => ({ userId: "ada", expiresAt: expiresAt as number });
      const { connect } = setUp({ jwt: { ...jwt, identity } });
      expect((await connect({ exp: inSeconds(MINUTE) })).statusCode).toBe(401);
    },
  );
});

it("refuses a token with an infinite expiry", async () => {
  expect((await setUp().connect({ exp: 1e308 })).statusCode).toBe(401);
});

it("closes a connection at the endpoint that it connected to", async () => {
  const { connect, scheduled } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  const { domainName, stage } = connectEvent().requestContext;
  expect(await scheduled()).toEqual([
    expect.objectContaining({ data: { endpoint: `https://${domainName}/${stage}`, connectedAt: START } }),
  ]);
});

it("closes a connection that reads too slowly to receive the frame", async () => {
  const { app, at, connect, connections } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  connections.throttled(ID);
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(connections.disconnected).toEqual([ID]);
});

it("retries a connection that could not be closed", async () => {
  const { app, at, connect, connections } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  const disconnect = vi.spyOn(connections, "disconnect").mockRejectedValueOnce(new Error("no network"));
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 0, failed: 1 });
  at(2 * MINUTE + SECOND);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(disconnect).toHaveBeenCalledTimes(2);
  expect(connections.disconnected).toEqual([ID]);
});

it("keeps retrying to close a connection", async () => {
  const { app, at, connect, connections, schedule } = setUp(
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

it("may run in two ticks at once, or twice for one connection", async () => {
  const { app, at, connect, connections } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  at(2 * MINUTE);
  const reports = await Promise.all([app.tick(), app.tick()]);
  for (const report of reports) expect(report.failed).toBe(0);
  expect(connections.disconnected).toEqual([ID]);
});

it("waits for a connection whose $connect has not finished, which looks gone", async () => {
  const { app, at, connect, connections, scheduled } = setUp();
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

it("drops a connection that is gone without a $disconnect", async () => {
  const { app, at, connect, connections, scheduled } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  connections.gone(ID);
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(await scheduled()).toEqual([]);
});

it("removes a closed connection from the schedule", async () => {
  const { connect, disconnect, scheduled } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  expect(await scheduled()).toHaveLength(1);
  await disconnect();
  expect(await scheduled()).toEqual([]);
});

it("removes nothing from the schedule for a token without expiry", async () => {
  const { connect, disconnect, schedule } = setUp({ validateToken: () => "ada" });
  const remove = vi.spyOn(schedule, "delete");
  await connect();
  await disconnect();
  expect(remove).not.toHaveBeenCalled();
});

it("handles $disconnect when the schedule is unavailable", async () => {
  const { connect, disconnect, schedule, store, lines } = setUp();
  await connect({ exp: inSeconds(MINUTE) });
  vi.spyOn(schedule, "delete").mockRejectedValue(new Error("throttled"));
  expect((await disconnect()).statusCode).toBe(200);
  expect(await store.get(ID)).toBeUndefined();
  expect(lines.join()).toContain("throttled");
});

it("refuses a connection whose expiry cannot be scheduled, and keeps no row", async () => {
  const { connect, schedule, store } = setUp();
  vi.spyOn(schedule, "put").mockRejectedValue(new Error("throttled"));
  expect((await connect({ exp: inSeconds(MINUTE) })).statusCode).toBe(503);
  expect(await store.get(ID)).toBeUndefined();
});

it("schedules nothing for a refused client, a token without expiry, or one that outlives the connection", async () => {
  const refused = setUp();
  await refused.connect({ exp: inSeconds(-MINUTE) });
  const lasting = setUp({ validateToken: () => "ada" });
  await lasting.connect();
  const long = setUp();
  await long.connect({ exp: inSeconds(120 * MINUTE) });
  for (const { scheduled } of [refused, lasting, long]) expect(await scheduled()).toEqual([]);
});

it("needs no schedule to refuse expired messages", async () => {
  const { app, at, connect, send } = setUp({}, { schedule: undefined } as never);
  await connect({ exp: inSeconds(MINUTE) });
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 0 });
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("closes a connection that an authorizer accepted, with a store or without", async () => {
  for (const connectionStore of [memoryConnectionStore({ now: () => START }), undefined]) {
    const it = setUp({}, { connectionStore } as never);
    it.authorizedBy({ sub: "ada", exp: String(inSeconds(MINUTE)) });
    await it.connect();
    it.at(2 * MINUTE);
    await it.app.tick();
    expect(it.connections.disconnected).toEqual([ID]);
  }
});

// Refresh on the socket

const minutes = (n: number) => ({ exp: inSeconds(n * MINUTE) });

it("moves with a new token, whose permissions then apply to the connection", async () => {
  const { app, at, connect, connections, send, scheduled } = setUp();
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

it("moves with a new token without a `schedule`", async () => {
  const { connect, send } = setUp({}, { schedule: undefined as never });
  await connect(minutes(1));
  expect(await send("auth.refresh", { token: await sign(minutes(3)) })).toMatchObject({ success: true });
});

it("is the identity of the handler that has refreshed it", async () => {
  const { app, auth, connect, send } = setUp();
  const seen: unknown[] = [];
  app.webSocket("renew", async (ctx) => {
    await auth.refresh(ctx);
    seen.push(authIdentity(ctx)?.permissions);
  });
  await connect({ ...minutes(1), permissions: [] });
  await send("renew", { token: await sign({ ...minutes(3), permissions: ["write"] }) });
  expect(seen).toEqual([["write"]]);
});

it("removes permissions that the new token lacks, and shortens the expiry", async () => {
  const { at, connect, send } = setUp();
  await connect({ ...minutes(10), permissions: ["write"] });
  await send("auth.refresh", { token: await sign({ ...minutes(1), permissions: [] }) });
  expect(await send("write")).toMatchObject({ error: { code: "FORBIDDEN" } });
  at(2 * MINUTE);
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("reads the new expiry from the row when the schedule was not updated", async () => {
  const { app, at, connect, connections, send, schedule, scheduled } = setUp();
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

it("does not undo a refresh to a shorter token during a reschedule", async () => {
  const { app, at, connect, connections, schedule, scheduled, send } = setUp();
  await connect(minutes(1));
  const put = schedule.put.bind(schedule);
  const spy = vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("throttled"));
  await send("auth.refresh", { token: await sign(minutes(60)) });
  at(2 * MINUTE);
  const tokens = [await sign(minutes(30)), await sign(minutes(3))];
  // Runs before each write of the tick.
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

it("does not undo a simultaneous refresh to a shorter token", async () => {
  const { app, at, connect, connections, schedule, send } = setUp();
  await connect(minutes(1));
  const put = schedule.put.bind(schedule);
  const shorter = await sign(minutes(3));
  vi.spyOn(schedule, "put").mockImplementationOnce(async (item) => {
    await send("auth.refresh", { token: shorter });
    await put(item);
  });
  await send("auth.refresh", { token: await sign(minutes(30)) });
  at(4 * MINUTE);
  await app.tick();
  expect(connections.disconnected).toEqual([ID]);
});

it("is dropped for a connection that was refreshed to a token without expiry", async () => {
  let expiresAt: number | undefined = START + MINUTE;
  const validateToken = () => ({ userId: "ada", tenantId: "acme", expiresAt });
  const { app, at, connect, connections, send, scheduled } = setUp({ validateToken });
  await connect();
  expiresAt = undefined;
  expect(await send("auth.refresh", { token: "new" })).toMatchObject({ success: true, data: {} });
  at(2 * MINUTE);
  expect(await app.tick()).toMatchObject({ done: 1 });
  expect(connections.disconnected).toEqual([]);
  expect(await scheduled()).toEqual([]);
});

it("removes the item of a connection that was refreshed and disconnected", async () => {
  const { connect, send, disconnect, scheduled } = setUp();
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
])("closes a connection whose new token belongs to %s, and grants it nothing", async (_whose, claims) => {
  const codes: string[] = [];
  const { connect, connections, send, store } = setUp({ onError: ({ code }) => void codes.push(code) });
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
  expect(codes).toEqual(["FORBIDDEN"]);
});

it.each<[string, { [name: string]: Json }, string]>([
  ["no token", {}, "VALIDATION_ERROR"],
  ["a token that is not a string", { token: 1 }, "VALIDATION_ERROR"],
  ["a forged token", { token: "abc.def.ghi" }, "UNAUTHORIZED"],
])("leaves a connection unchanged that sends %s", async (_what, fields, code) => {
  const { at, connect, connections, send } = setUp();
  await connect(minutes(1));
  expect(await send("auth.refresh", fields)).toMatchObject({ error: { code } });
  expect(await send("who")).toMatchObject({ who: { userId: "ada" } });
  expect(connections.disconnected).toEqual([]);
  at(2 * MINUTE);
  expect(await send("who")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("rejects an expired token, and a valid one after the old has expired", async () => {
  let expiresAt = START + MINUTE;
  const validateToken = () => ({ userId: "ada", expiresAt });
  const { at, connect, send } = setUp({ validateToken });
  await connect();
  expiresAt = START;
  expect(await send("auth.refresh", { token: "old" })).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
  expiresAt = START + 10 * MINUTE;
  at(2 * MINUTE);
  expect(await send("auth.refresh", { token: "late" })).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("rejects a refresh without an identity, a row or a store", async () => {
  const anonymous = setUp({ skipRoutes: ["$connect", "auth.refresh"] });
  await anonymous.connect();
  const token = await sign(minutes(3));
  expect(await anonymous.send("auth.refresh", { token })).toMatchObject({ error: { code: "UNAUTHORIZED" } });

  const left = setUp();
  left.authorizedBy({ sub: "ada", tenant_id: "acme", exp: String(inSeconds(MINUTE)) });
  expect(await left.send("auth.refresh", { token })).toMatchObject({ error: { code: "CONNECTION_CLOSED" } });

  const storeless = setUp({}, { connectionStore: undefined } as never);
  storeless.authorizedBy({ sub: "ada", tenant_id: "acme" });
  expect(await storeless.send("auth.refresh", { token })).toMatchObject({
    error: { code: "INTERNAL_ERROR" },
  });
  expect(storeless.lines.join()).toContain("STORE_REQUIRED");
});

it("is read from the row only after the authorizer's identity has expired", async () => {
  const { at, authorizedBy, connect, send, store } = setUp();
  authorizedBy({ sub: "ada", tenant_id: "acme", exp: String(inSeconds(MINUTE)) });
  await connect();
  await send("auth.refresh", { token: await sign({ ...minutes(3), permissions: ["write"] }) });
  const get = vi.spyOn(store, "get");
  expect(await send("who")).toMatchObject({ who: { userId: "ada", permissions: [] } });
  expect(get).not.toHaveBeenCalled();
  at(2 * MINUTE);
  expect(await send("write")).toBe("ok");
  expect(get).toHaveBeenCalledTimes(1);
  at(4 * MINUTE);
  expect(await send("write")).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("cannot be changed by a client that chooses keys of its state", async () => {
  const { app, at, connect, send, lines } = setUp();
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

it("logs no token", async () => {
  const { app, at, connect, send, lines } = setUp();
  const tokens = [await sign(minutes(1)), await sign(minutes(3)), await sign({ ...minutes(3), sub: "eve" })];
  await connect(minutes(1));
  for (const token of [...tokens, "not.a.token"]) await send("auth.refresh", { token });
  at(10 * MINUTE);
  await app.tick();
  for (const token of [...tokens, "not.a.token"]) expect(lines.join()).not.toContain(token);
});
