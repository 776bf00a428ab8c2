import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AuthorizerContext } from "../apigw/index.ts";
import { type ConnectionStore, type Json, StoreError, type TimeBudget } from "../store/index.ts";
import { memoryConnectionStore } from "../store/memory/index.ts";
import { type Context, Lift, LiftError, type LiftOptions, type LogFields, type Logger } from "./index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "./testing/index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const NOW = Date.UTC(2026, 0, 1);

type State = { [key: string]: Json };

/** Creates an app with a memory store whose calls are counted. */
function makeApp(options: Partial<LiftOptions<State>> = {}) {
  const memory = memoryConnectionStore({ now: () => NOW });
  const calls: string[] = [];
  const counted = new Proxy(memory, {
    get: (target, name: keyof ConnectionStore) => {
      if (name === "peek") return undefined;
      const method = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        calls.push(name);
        return method.apply(target, args);
      };
    },
  });
  const logged: { message: string; fields: LogFields | undefined }[] = [];
  const log = (message: string, fields?: LogFields) => void logged.push({ message, fields });
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const connections = recordingConnections();
  const now = () => NOW;
  const app = new Lift<State>({ connectionStore: counted, connections, logger, now, ...options });
  const handler = app.webSocketHandler();
  const requestContext = { connectedAt: NOW };
  return {
    app,
    memory,
    calls,
    connections,
    logged,
    connect: (authorizer?: Partial<AuthorizerContext>, lambda = lambdaContext()) =>
      handler(connectEvent({ requestContext, ...(authorizer && { authorizer }) }), lambda),
    send: (route: string, body: unknown = {}, authorizer?: Partial<AuthorizerContext>) =>
      handler(messageEvent(route, body, authorizer && { authorizer }), lambdaContext()),
    disconnect: (overrides = {}, lambda = lambdaContext()) => handler(disconnectEvent(overrides), lambda),
    errors: () =>
      connections.jsonSentTo(ID).map((frame) => (frame as { error: { code: string } }).error.code),
  };
}

describe("a logger that throws", () => {
  const broken = () => {
    throw new Error("the log is full");
  };
  const logger: Logger = { debug: broken, info: broken, warn: broken, error: broken };
  const fails = () => Promise.reject(new LiftError("MINE"));

  it("does not stop a refusal or an error frame", async () => {
    const { app, connect, send, errors, calls } = makeApp({ logger });
    app.webSocket("$connect", fails).webSocket("a", fails);
    expect((await connect()).statusCode).toBe(500);
    expect(await send("a", {}, { sub: "ada" })).toEqual({ statusCode: 200 });
    expect(errors()).toEqual(["MINE"]);
    expect(calls).toEqual([]);
  });

  it("does not keep the row on $disconnect", async () => {
    const { app, connect, disconnect, memory } = makeApp({ logger });
    app.webSocket("$disconnect", fails);
    await connect();
    await disconnect();
    expect(await memory.get(ID)).toBeUndefined();
  });
});

describe("$connect", () => {
  it("saves the whole row after the handler has accepted", async () => {
    const { app, connect, memory, calls } = makeApp();
    app.webSocket("$connect", async (ctx) => {
      ctx.setUserId("ada").setTenantId("acme").setMetadata({ device: "phone" });
      ctx
        .setMetadata({ since: new Date(0) })
        .set("room", "r1")
        .set("gone", undefined);
      expect(await memory.get(ID)).toBeUndefined();
    });
    expect(await connect()).toEqual({ statusCode: 200 });
    expect(await memory.get(ID)).toEqual({
      id: ID,
      userId: "ada",
      tenantId: "acme",
      metadata: { device: "phone", since: "1970-01-01T00:00:00.000Z" },
      state: { room: "r1" },
      sourceIp: "127.0.0.1",
      userAgent: "lift-ws-test",
      endpoint: "https://abcdef1234.execute-api.us-east-1.amazonaws.com/test",
      connectedAt: NOW,
      expiresAt: NOW + 130 * 60_000,
    });
    expect(calls).toEqual(["save"]);
  });

  it("saves an anonymous connection, with the option `lifetimeMs`", async () => {
    const { connect, memory } = makeApp({ lifetimeMs: 60_000 });
    await connect();
    const row = await memory.get(ID);
    expect(row).not.toHaveProperty("userId");
    expect(row?.expiresAt).toBe(NOW + 11 * 60_000);
  });

  it.each([
    ["refuses by ctx", (ctx: Context) => ctx.status(401), 401],
    ["refuses by a raw result", () => ({ statusCode: 403 }), 403],
    ["redirects", (ctx: Context) => ctx.status(302), 302],
    ["throws a string", () => Promise.reject("broken"), 500],
  ] as const)("saves no row when the handler %s", async (_what, handler, status) => {
    const { app, connect, calls } = makeApp();
    app.webSocket("$connect", handler);
    expect((await connect()).statusCode).toBe(status);
    expect(calls).toEqual([]);
  });

  const circle: { self?: unknown } = {};
  circle.self = circle;

  it.each([
    ["holds a circle", () => ({ statusCode: 200, headers: circle as never })],
    ["holds a BigInt", () => ({ statusCode: 200, x: 1n })],
    ["chooses an invalid subprotocol", (ctx: Context) => ctx.setHeader("Sec-WebSocket-Protocol", "a b")],
    [
      "chooses one in a list",
      () => ({ statusCode: 200, multiValueHeaders: { "sec-websocket-protocol": ["a", ""] } }),
    ],
  ] as const)("saves no row for a result that the service rejects: it %s", async (_what, handler) => {
    const { app, connect, calls, logged } = makeApp();
    app.webSocket("$connect", handler);
    expect((await connect()).statusCode).toBe(500);
    expect(logged[0]?.fields).toMatchObject({ code: "INTERNAL_ERROR", error: { code: "INVALID_RESULT" } });
    expect(calls).toEqual([]);
  });

  it("saves the row with a subprotocol and other headers", async () => {
    const { app, connect, calls } = makeApp();
    app.webSocket("$connect", (ctx) =>
      ctx.setHeader("X-Any", "a b").setHeader("Sec-WebSocket-Protocol", "graphql-ws"),
    );
    expect((await connect()).statusCode).toBe(200);
    expect(calls).toEqual(["save"]);
  });

  it("saves no row after the deadline, when the client is already refused", async () => {
    const { connect, calls } = makeApp();
    const result = await connect(undefined, lambdaContext({ getRemainingTimeInMillis: () => 0 }));
    expect(result.statusCode).toBe(504);
    expect(calls).toEqual([]);
  });

  it("removes the row when saving it took all the time", async () => {
    const { connect, calls, memory } = makeApp();
    let left = 10;
    const save = memory.save.bind(memory);
    memory.save = async (row) => {
      left = 0;
      return save(row);
    };
    const result = await connect(undefined, lambdaContext({ getRemainingTimeInMillis: () => left }));
    expect(result.statusCode).toBe(504);
    expect(calls).toEqual(["save", "delete"]);
    expect(await memory.get(ID)).toBeUndefined();
  });

  it("opens no socket for an error, even one whose class says 200", async () => {
    class Loose extends LiftError {
      override readonly status = 200;
    }
    for (const error of [new LiftError("MINE", { status: 200 }), new Loose("MINE")]) {
      const { app, connect, calls } = makeApp();
      app.webSocket("$connect", () => Promise.reject(error));
      expect((await connect()).statusCode).toBe(500);
      expect(calls).toEqual([]);
    }
  });

  it("refuses when $disconnect came first, and leaves no row", async () => {
    const { app, connect, disconnect, memory } = makeApp();
    app.webSocket("$connect", async () => void (await disconnect()));
    expect((await connect()).statusCode).toBe(410);
    expect(await memory.get(ID)).toBeUndefined();
  });

  it("refuses with 503 when the store fails, and logs why", async () => {
    const { connect, memory, logged } = makeApp();
    const failure = new Error("table is gone");
    memory.save = () => Promise.reject(failure);
    const result = await connect();
    expect(result.statusCode).toBe(503);
    expect(result.body).not.toContain("table is gone");
    expect(logged[0]?.fields).toMatchObject({
      code: "STORE_FAILED",
      connectionId: ID,
      error: { cause: failure },
    });
  });

  it("refuses with 503 and a code when the store's connection limit is reached", async () => {
    const { connect, memory } = makeApp();
    memory.save = () => Promise.reject(new StoreError("TOO_MANY_CONNECTIONS", "table-1 holds 10"));
    const { statusCode, body } = await connect();
    expect(statusCode).toBe(503);
    expect(JSON.parse(body ?? "")).toMatchObject({ error: { code: "TOO_MANY_CONNECTIONS", retry: true } });
    expect(body).not.toContain("table-1");
  });

  it("rejects sends to the connection itself and says what to do", async () => {
    const { app, connect, connections } = makeApp();
    const attempts: unknown[] = [];
    app.webSocket("$connect", async (ctx) => {
      const ws = ctx.asWebSocket();
      for (const attempt of [
        ctx.reply("hi"),
        ws.sendMessage("hi"),
        ws.sendMessageTo(ID, "hi"),
        ws.disconnect(),
        ws.getConnectionInfo(),
      ]) {
        await attempt.catch((error: unknown) => attempts.push(error));
      }
      expect(await ws.sendMessageTo("another", "hi")).toBe("sent");
    });
    expect(await connect()).toEqual({ statusCode: 200 });
    expect(attempts).toHaveLength(5);
    for (const error of attempts) {
      expect(error).toMatchObject({
        code: "NOT_CONNECTED",
        message: expect.stringContaining("first message"),
      });
    }
    expect(connections.sentTo(ID)).toEqual([]);
  });
});

describe("identity", () => {
  const whoAmI = (app: Lift<State>) => {
    const seen: { user: string | undefined; tenant: string | undefined }[] = [];
    app.webSocket("who", (ctx) => void seen.push({ user: ctx.userId, tenant: ctx.tenantId }));
    return seen;
  };

  it("comes from the row, with one read that the state shares", async () => {
    const { app, connect, send, calls } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.setUserId("ada").setTenantId("acme").set("room", "r1"));
    const seen: unknown[] = [];
    app.webSocket("who", async (ctx) => {
      seen.push(ctx.userId, ctx.tenantId, await ctx.get("room"), await ctx.get("none"));
      seen.push((await ctx.connection())?.sourceIp);
    });
    await connect();
    await send("who");
    expect(seen).toEqual(["ada", "acme", "r1", undefined, "127.0.0.1"]);
    expect(calls).toEqual(["save", "get"]);
  });

  it("comes from the authorizer's context without a read of the store", async () => {
    const { app, connect, send, calls } = makeApp();
    const seen = whoAmI(app);
    const authorizer = { sub: "ada", tenant_id: "acme" };
    await connect(authorizer);
    await send("who", {}, authorizer);
    await send("who", {}, { userId: "bob", tenantId: "b" });
    await send("who", {}, { tenant_id: "acme" });
    expect(seen).toEqual([
      { user: "ada", tenant: "acme" },
      { user: "bob", tenant: "b" },
      { user: undefined, tenant: "acme" },
    ]);
    expect(calls).toEqual(["save"]);
  });

  it("is not the authorizer's principalId, which is often a constant", async () => {
    const { app, connect, send } = makeApp();
    const seen = whoAmI(app);
    app.webSocket("$connect", (ctx) => void ctx.setUserId("from the row"));
    await connect({ principalId: "user", sub: "" });
    await send("who", {}, { principalId: "user", sub: "" });
    expect(seen).toEqual([{ user: "from the row", tenant: undefined }]);
  });

  it("is read by the option `identity`", async () => {
    const identity = (authorizer: AuthorizerContext) => ({
      userId: `${authorizer.realm}/${authorizer.name}`,
    });
    const { app, send } = makeApp({ identity });
    const seen = whoAmI(app);
    await send("who", {}, { realm: "r", name: "n" });
    expect(seen).toEqual([{ user: "r/n", tenant: undefined }]);
  });

  it("refuses the client, and sends an error frame, when the option throws", async () => {
    const identity = () => {
      throw new Error("broken rule");
    };
    const { connect, send, errors } = makeApp({ identity });
    expect((await connect({ sub: "a" })).statusCode).toBe(500);
    expect(await send("who", {}, { sub: "a" })).toEqual({ statusCode: 200 });
    expect(errors()).toEqual(["INTERNAL_ERROR"]);
  });

  it("cannot be changed by a message", async () => {
    const { app, connect, send, errors, memory } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.setUserId("ada"));
    app.webSocket("user", (ctx) => void ctx.setUserId(String(ctx.body("userId"))));
    app.webSocket("tenant", (ctx) => void ctx.setTenantId("other"));
    app.webSocket("metadata", (ctx) => void ctx.setMetadata({ admin: true }));
    const seen = whoAmI(app);
    await connect();
    for (const route of ["user", "tenant", "metadata"]) await send(route, { userId: "eve" });
    await send("who", { userId: "eve", sub: "eve", tenant_id: "evil" });
    expect(errors()).toEqual(["INTERNAL_ERROR", "INTERNAL_ERROR", "INTERNAL_ERROR"]);
    expect(seen).toEqual([{ user: "ada", tenant: undefined }]);
    expect(await memory.get(ID)).toMatchObject({ userId: "ada", metadata: {} });
  });

  it("cannot differ from the authorizer's, in whole or in part", async () => {
    const { app, connect, calls, logged } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.setUserId("ada").setTenantId("acme"));
    expect((await connect({ sub: "ada" })).statusCode).toBe(500);
    expect(calls).toEqual([]);
    expect(logged[0]?.fields?.error).toMatchObject({
      code: "IDENTITY_FIXED",
      message: expect.stringContaining("The authorizer has set the identity"),
    });
    expect((await connect({ sub: "ada", tenant_id: "acme" })).statusCode).toBe(200);
  });

  it("is anonymous when it is set to an empty string", async () => {
    const { app, connect, memory } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.setUserId("").setTenantId(""));
    await connect();
    expect(await memory.get(ID)).not.toHaveProperty("userId");
    expect(await memory.get(ID)).not.toHaveProperty("tenantId");
  });

  it("is anonymous without a row", async () => {
    const { app, send } = makeApp();
    const seen = whoAmI(app);
    await send("who");
    expect(seen).toEqual([{ user: undefined, tenant: undefined }]);
  });

  it("does not run a message's handler when the row cannot be read", async () => {
    const { app, send, memory, errors } = makeApp();
    const seen = whoAmI(app);
    memory.get = () => Promise.reject(new Error("down"));
    expect(await send("who")).toEqual({ statusCode: 200 });
    expect(seen).toEqual([]);
    expect(errors()).toEqual(["STORE_FAILED"]);
  });
});

describe("the store", () => {
  it("receives the function's remaining time on every call", async () => {
    const { app, connect, send, disconnect, memory } = makeApp();
    const budgets: unknown[] = [];
    for (const name of ["save", "get", "delete", "setState", "updateState"] as const) {
      const method = memory[name] as (...args: unknown[]) => unknown;
      const record = (...args: unknown[]) => {
        // The call of `get` has options after the budget.
        const isBudget = (arg: unknown): arg is TimeBudget =>
          typeof (arg as Partial<TimeBudget>).getRemainingTimeInMillis === "function";
        budgets.push([name, args.find(isBudget)?.getRemainingTimeInMillis()]);
        return method.apply(memory, args);
      };
      Object.assign(memory, { [name]: record });
    }
    app.webSocket("set", (ctx) => void ctx.set("a", 1));
    app.webSocket("update", async (ctx) => void (await ctx.update("b", () => 1)));
    app.webSocket("get", async (ctx) => void (await ctx.get("a")));
    await connect();
    for (const route of ["set", "update"]) await send(route, {}, { sub: "u" });
    await send("get", {}, { sub: "u" });
    await disconnect();
    expect(budgets).toEqual(
      ["save", "setState", "updateState", "get", "get", "delete"].map((name) => [name, 29_000]),
    );
  });
});

describe("state", () => {
  it("is available in the connection's later events, $disconnect included", async () => {
    const { app, connect, send, disconnect } = makeApp();
    const seen: unknown[] = [];
    app.webSocket("join", (ctx) => void ctx.set("room", String(ctx.body("room"))));
    app.webSocket("where", async (ctx) => void seen.push(await ctx.get("room")));
    app.webSocket("$disconnect", async (ctx) => void seen.push(await ctx.get("room")));
    await connect();
    await send("join", { room: "r1" });
    await send("where");
    await disconnect();
    expect(seen).toEqual(["r1", "r1"]);
  });

  it("is written once, after the handler; set values take precedence", async () => {
    const { app, connect, send, calls, memory } = makeApp();
    app.webSocket("a", async (ctx) => {
      ctx.set("x", 1).set("x", 2).set("y", [1]).set("z", undefined);
      expect(await ctx.get("x")).toBe(2);
      expect(await ctx.get("z")).toBeUndefined();
      expect((await memory.get(ID))?.state).toEqual({});
    });
    await connect();
    calls.length = 0;
    await send("a");
    expect(calls).toEqual(["get", "setState"]);
    expect((await memory.get(ID))?.state).toEqual({ x: 2, y: [1] });
  });

  it("is not written when the handler throws", async () => {
    const { app, connect, send, memory } = makeApp();
    app.webSocket("a", (ctx) => {
      ctx.set("x", 1);
      throw new Error("broken");
    });
    await connect();
    await send("a");
    expect((await memory.get(ID))?.state).toEqual({});
  });

  it("loses no key to an overlapping event and, with update, no element", async () => {
    const { app, connect, send, memory } = makeApp();
    app.webSocket("a", async (ctx) => {
      const n = Number(ctx.body("n"));
      ctx.set(`key${n}`, n);
      await ctx.update("list", (list) => [...((list as number[]) ?? []), n]);
    });
    await connect();
    await Promise.all([0, 1, 2, 3, 4].map((n) => send("a", { n })));
    const state = (await memory.get(ID))?.state as { list: number[] };
    expect(state).toMatchObject({ key0: 0, key4: 4 });
    expect(state.list.toSorted()).toEqual([0, 1, 2, 3, 4]);
  });

  it("is updated in the buffer on $connect, and when this event has set the key", async () => {
    const { app, connect, send, memory, calls } = makeApp();
    const increment = (n: Json | undefined) => Number(n ?? 0) + 1;
    app.webSocket("$connect", async (ctx) => {
      expect(await ctx.update("n", increment)).toBe(1);
      expect(await ctx.update("n", increment)).toBe(2);
    });
    app.webSocket("a", async (ctx) => {
      expect(await ctx.set("n", 10).update("n", increment)).toBe(11);
    });
    await connect();
    expect((await memory.get(ID))?.state).toEqual({ n: 2 });
    await send("a");
    expect((await memory.get(ID))?.state).toEqual({ n: 11 });
    expect(calls).not.toContain("updateState");
  });

  it("shows an event its own updates", async () => {
    const { app, connect, send } = makeApp();
    const seen: unknown[] = [];
    app.webSocket("a", async (ctx) => {
      await ctx.get("n");
      await ctx.update("n", () => 1);
      seen.push(await ctx.get("n"));
      seen.push(await ctx.update("n", () => undefined), await ctx.get("n"));
    });
    await connect();
    await send("a");
    expect(seen).toEqual([1, undefined, undefined]);
  });

  it("is returned as a copy that may be changed", async () => {
    const { app, connect, send, memory, errors } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.set("list", [{ n: 1 }]));
    app.webSocket("a", async (ctx) => {
      const list = (await ctx.get("list")) as { n: number }[];
      list.push({ n: 2 });
      list[0]!.n = 9;
      expect(await ctx.get("list")).toEqual([{ n: 1 }]);
      await ctx.update("list", (current) => {
        (current as { n: number }[]).push({ n: 3 });
        return current;
      });
    });
    await connect();
    await send("a");
    expect(errors()).toEqual([]);
    expect((await memory.get(ID))?.state).toEqual({ list: [{ n: 1 }, { n: 3 }] });
  });

  it("keeps the error of a value that `update` cannot store", async () => {
    const { app, connect, send } = makeApp();
    const codes: unknown[] = [];
    app.webSocket("a", async (ctx) => {
      await ctx.update("n", () => Number.NaN).catch((error: LiftError) => codes.push(error.code));
    });
    await connect();
    await send("a");
    expect(codes).toEqual(["STATE_NOT_JSON"]);
  });

  it("ignores changes to a value after it was set", async () => {
    const { app, connect, memory } = makeApp();
    app.webSocket("$connect", (ctx) => {
      const list = [1];
      ctx.set("list", list);
      list.push(2);
    });
    await connect();
    expect((await memory.get(ID))?.state).toEqual({ list: [1] });
  });

  it("fails with CONNECTION_CLOSED when the row is gone", async () => {
    const { app, send, errors } = makeApp();
    app.webSocket("set", (ctx) => void ctx.set("a", 1));
    app.webSocket("update", async (ctx) => void (await ctx.update("a", () => 1)));
    await send("set");
    await send("update");
    expect(errors()).toEqual(["CONNECTION_CLOSED", "CONNECTION_CLOSED"]);
  });

  it("fails with STORE_FAILED when the store does", async () => {
    const { app, connect, send, memory, errors } = makeApp();
    app.webSocket("set", (ctx) => void ctx.set("a", 1));
    app.webSocket("update", async (ctx) => void (await ctx.update("a", () => 1)));
    await connect();
    memory.setState = () => Promise.reject(new Error("down"));
    memory.updateState = () => Promise.reject(new Error("down"));
    await send("set");
    await send("update");
    expect(errors()).toEqual(["STORE_FAILED", "STORE_FAILED"]);
  });

  it("requires a store, and says so", async () => {
    const app = new Lift();
    const seen: unknown[] = [];
    app.webSocket("a", async (ctx) => {
      for (const use of [() => ctx.set("a", 1), () => ctx.get("a"), () => ctx.connectionStore]) {
        try {
          await use();
        } catch (error) {
          seen.push((error as { code: string }).code);
        }
      }
    });
    await app.webSocketHandler({ connections: recordingConnections() })(
      messageEvent("a", {}),
      lambdaContext(),
    );
    expect(seen).toEqual(["STORE_REQUIRED", "STORE_REQUIRED", "STORE_REQUIRED"]);
  });
});

describe("$disconnect", () => {
  it("sees the connection with code and reason, then removes the row", async () => {
    const { app, connect, disconnect, memory } = makeApp();
    const seen: unknown[] = [];
    app.webSocket("$connect", (ctx) => void ctx.setUserId("ada").set("room", "r1"));
    app.webSocket("$disconnect", async (ctx) => {
      seen.push(ctx.userId, await ctx.get("room"), (await memory.get(ID))?.id);
      if (ctx.event.requestContext.eventType !== "DISCONNECT") return;
      seen.push(ctx.event.requestContext.disconnectStatusCode, ctx.event.requestContext.disconnectReason);
    });
    await connect();
    expect(await disconnect({ code: 1001, reason: "Going away" })).toEqual({ statusCode: 200 });
    expect(seen).toEqual(["ada", "r1", ID, 1001, "Going away"]);
    expect(await memory.get(ID)).toBeUndefined();
  });

  it("removes the row when the handler throws, and logs it", async () => {
    const { app, connect, disconnect, memory, logged } = makeApp();
    app.webSocket("$disconnect", () => {
      throw new Error("broken");
    });
    await connect();
    expect((await disconnect()).statusCode).toBe(500);
    expect(await memory.get(ID)).toBeUndefined();
    expect(logged).toHaveLength(1);
  });

  it("changes nothing when it comes twice", async () => {
    const { connect, disconnect, memory } = makeApp();
    await connect();
    await disconnect();
    expect(await disconnect()).toEqual({ statusCode: 200 });
    expect(await memory.count()).toBe(0);
    expect((await connect()).statusCode).toBe(410);
  });

  it("runs the handler and removes the row when the row cannot be read", async () => {
    const { app, connect, disconnect, memory, calls } = makeApp();
    let ran = false;
    app.webSocket("$disconnect", () => {
      ran = true;
    });
    await connect();
    memory.get = () => Promise.reject(new Error("down"));
    await disconnect();
    expect(ran).toBe(true);
    expect(calls.at(-1)).toBe("delete");
  });

  describe("with time that a test moves", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it("stops waiting for a handler a second before the deadline, then removes the row", async () => {
      const { app, connect, disconnect, memory } = makeApp();
      app.webSocket("$disconnect", () => new Promise<void>(() => {}));
      await connect();
      const result = disconnect({}, lambdaContext({ getRemainingTimeInMillis: () => 5_000 }));
      await vi.advanceTimersByTimeAsync(3_999);
      expect(await memory.get(ID)).toBeDefined();
      await vi.advanceTimersByTimeAsync(1);
      expect((await result).statusCode).toBe(504);
      expect(await memory.get(ID)).toBeUndefined();
      expect(vi.getTimerCount()).toBe(0);
    });

    it.each(["$connect", "$disconnect"])("leaves no timer after a handler of %s", async (route) => {
      const { app, connect, disconnect } = makeApp();
      app.webSocket(route, async (ctx) => void ctx.signal);
      await (route === "$connect" ? connect() : disconnect());
      expect(vi.getTimerCount()).toBe(0);
    });

    it("fires ctx.signal a second before the deadline, and clears it at the end of the event", async () => {
      const { app, send, connect } = makeApp();
      let signal: AbortSignal | undefined;
      let finish = () => {};
      app.webSocket("a", (ctx) => {
        signal = ctx.signal;
        expect(ctx.remainingTime()).toBe(29_000);
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
      await connect();
      expect(vi.getTimerCount()).toBe(0);
      const event = send("a");
      await vi.advanceTimersByTimeAsync(27_999);
      expect(signal?.aborted).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(signal?.reason).toMatchObject({ code: "TIMEOUT" });
      finish();
      await event;
      const next = send("a");
      await vi.advanceTimersByTimeAsync(0);
      finish();
      await next;
      expect(vi.getTimerCount()).toBe(0);
    });
  });
});
