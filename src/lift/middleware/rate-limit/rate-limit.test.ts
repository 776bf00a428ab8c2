import fc from "fast-check";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { afterEach, describe, expect, it, vi } from "vitest";
import { memoryConnectionStore } from "../../../store/memory/index.ts";
import { type AnyContext, Lift, type LiftOptions, type LogFields, type Middleware } from "../../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { type RateLimitOptions, webSocketRateLimit } from "./index.ts";
import { MemoryLimiter } from "./memory-limiter.ts";
import { clientNetwork } from "./rate-limit-key.ts";

const ID = "L0SM9cOFvHcCIhw=";

/** Creates an app with a manual clock, whose `$connect` reads user and tenant from the query. */
function makeApp(options?: RateLimitOptions, lift: Partial<LiftOptions<object>> = {}) {
  let now = 0;
  const logged: { message: string; fields: LogFields | undefined }[] = [];
  const log = (message: string, fields?: LogFields) => void logged.push({ message, fields });
  const connections = recordingConnections();
  const app = new Lift({
    connections,
    connectionStore: memoryConnectionStore(),
    logger: { debug: log, info: log, warn: log, error: log },
    ...lift,
  });
  const handled: string[] = [];
  app.use((ctx, next) => {
    handled.push(ctx.route);
    if (ctx.route === "$connect") {
      ctx.setUserId(ctx.query("user") ?? "").setTenantId(ctx.query("tenant") ?? "");
    }
    return next();
  });
  app.use(webSocketRateLimit(options && { now: () => now, ...options }));
  app.webSocket("chat", () => {}).webSocket("typing", () => {});
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    app,
    handler,
    connections,
    handled,
    logged,
    pass: (ms: number) => {
      now += ms;
    },
    connect: async (query: { [name: string]: string } = {}, sourceIp = "127.0.0.1", connectionId = ID) => {
      const event = connectEvent({ query, connectionId, requestContext: { identity: { sourceIp } } });
      return (await handler(event, lambda)).statusCode;
    },
    /** Returns the error of the error frame, or `undefined` when the message passed. */
    send: async (route = "chat", connectionId = ID, fields: object = {}) => {
      const before = connections.sent.length;
      await handler(messageEvent(route, { id: "m1", ...fields }, { connectionId }), lambda);
      const frame = connections.sent[before]?.data;
      return frame === undefined ? undefined : (JSON.parse(frame) as { error: object }).error;
    },
    disconnect: () => handler(disconnectEvent(), lambda),
  };
}

async function times<Value>(count: number, call: () => Promise<Value>): Promise<Value[]> {
  const results: Value[] = [];
  for (let i = 0; i < count; i++) results.push(await call());
  return results;
}

const refused = (retryAfterMs: number) => ({
  code: "RATE_LIMITED",
  message: "Too many requests",
  retry: true,
  details: { retryAfterMs },
});

describe("the defaults", () => {
  afterEach(() => void vi.useRealTimers());

  it("allow 10 connects per minute and address", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    const { connect } = makeApp();
    expect(await times(11, connect)).toEqual([...Array(10).fill(200), 429]);
    expect(await connect({}, "127.0.0.2")).toBe(200);
    vi.advanceTimersByTime(59_999);
    expect(await connect()).toBe(429);
    vi.advanceTimersByTime(1);
    expect(await connect()).toBe(200);
  });

  it.each([3_600_000, -3_600_000])("last for a minute when the wall clock is set by %d ms", async (jump) => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    const { connect } = makeApp();
    await times(10, connect);
    vi.setSystemTime(Date.now() + jump);
    expect(await connect()).toBe(429);
    vi.advanceTimersByTime(60_000);
    expect(await connect()).toBe(200);
  });

  it("allow 100 messages per minute and connection, for all routes together", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    const { send, connections } = makeApp();
    expect(await times(50, () => send("chat"))).toEqual(Array(50).fill(undefined));
    expect(await times(51, () => send("typing"))).toEqual([...Array(50).fill(undefined), refused(60_000)]);
    expect(JSON.parse(connections.sent[0]?.data ?? "")).toMatchObject({ type: "error", request_id: "m1" });
    expect(await send("chat", "another=")).toBeUndefined();
  });
});

describe("a limit by address or connection", () => {
  it("refuses a connect before earlier middleware runs", async () => {
    const { connect, handled } = makeApp({ connects: { by: "ip", limit: 1, windowMs: 1_000 } });
    expect([await connect(), await connect()]).toEqual([200, 429]);
    expect(handled).toEqual(["$connect"]);
  });

  it("refuses a message before earlier middleware runs", async () => {
    const { send, handled } = makeApp({ messages: { by: "connection", limit: 1, windowMs: 1_000 } });
    expect(await send()).toBeUndefined();
    expect(await send()).toMatchObject({ code: "RATE_LIMITED" });
    expect(handled).toEqual(["chat"]);
  });

  it("reports the wait, and passes events after it", async () => {
    const { send, pass } = makeApp({ messages: { by: "connection", limit: 1, windowMs: 1_000 } });
    expect(await send()).toBeUndefined();
    pass(300);
    expect(await send()).toEqual(refused(700));
    pass(700);
    expect(await send()).toBeUndefined();
  });

  it("never refuses $disconnect", async () => {
    const { disconnect, handled } = makeApp({ messages: { by: "connection", limit: 1, windowMs: 1_000 } });
    await times(3, disconnect);
    expect(handled).toEqual(["$disconnect", "$disconnect", "$disconnect"]);
  });

  it("counts an address as one client, however it is written", async () => {
    const { connect } = makeApp({ connects: { by: "ip", limit: 1, windowMs: 1_000 } });
    expect(await connect({}, "203.0.113.9")).toBe(200);
    for (const written of ["203.0.113.9:1", "203.0.113.9:2", "::ffff:203.0.113.9", "[::ffff:cb00:7109]:3"]) {
      expect(await connect({}, written)).toBe(429);
    }
    expect(await connect({}, "::ffff:cb00:710a")).toBe(200);
    expect(await connect({}, "unknown-1")).toBe(200);
    expect(await connect({}, "unknown-2")).toBe(429);
  });

  it("counts an IPv6 /64 as one client", async () => {
    const { connect } = makeApp({ connects: { by: "ip", limit: 1, windowMs: 1_000 } });
    expect(await connect({}, "2001:db8:1:2::1")).toBe(200);
    expect(await connect({}, "2001:db8:1:2:ffff::9")).toBe(429);
    expect(await connect({}, "2001:db8:1:3::1")).toBe(200);
  });
});

describe("a limit by identity", () => {
  const limit = { limit: 1, windowMs: 1_000 };

  it("counts a user's connections together, separately per tenant", async () => {
    const { connect, send } = makeApp({ messages: { by: "user", ...limit } });
    await connect({ user: "ada", tenant: "a" }, "1.1.1.1", "one=");
    await connect({ user: "ada", tenant: "a" }, "1.1.1.1", "two=");
    await connect({ user: "ada", tenant: "b" }, "1.1.1.1", "three=");
    expect(await send("chat", "one=")).toBeUndefined();
    expect(await send("chat", "two=")).toMatchObject({ code: "RATE_LIMITED" });
    expect(await send("chat", "three=")).toBeUndefined();
  });

  it("counts a tenant's users together", async () => {
    const { connect } = makeApp({ connects: { by: "tenant", ...limit } });
    expect(await connect({ user: "ada", tenant: "a" })).toBe(200);
    expect(await connect({ user: "bob", tenant: "a" })).toBe(429);
    expect(await connect({ user: "bob", tenant: "b" })).toBe(200);
  });

  it("counts clients without identity separately", async () => {
    const { connect, send } = makeApp({
      connects: { by: "user", ...limit },
      messages: { by: "tenant", ...limit },
    });
    expect(await connect({}, "1.1.1.1", "one=")).toBe(200);
    expect(await connect({}, "1.1.1.1", "two=")).toBe(429);
    expect(await connect({}, "2.2.2.2", "three=")).toBe(200);
    expect(await send("chat", "one=")).toBeUndefined();
    expect(await send("chat", "three=")).toBeUndefined();
    expect(await send("chat", "three=")).toMatchObject({ code: "RATE_LIMITED" });
  });

  it("counts the connections without a user separately, also those of one tenant", async () => {
    const { connect, send } = makeApp({ messages: { by: "user", ...limit } });
    for (const id of ["one=", "two="]) await connect({ tenant: "a" }, "1.1.1.1", id);
    expect(await send("chat", "one=")).toBeUndefined();
    expect(await send("chat", "two=")).toBeUndefined();
  });

  it("runs in the order of `use`, after a limit by address", async () => {
    const { connect, handled } = makeApp({
      connects: { by: "ip", limit: 3, windowMs: 1_000 },
      messages: { by: "user", ...limit },
    });
    expect(await times(4, connect)).toEqual([200, 200, 200, 429]);
    expect(handled).toHaveLength(3);
  });
});

describe("a limit of one route", () => {
  it("counts in addition to the limit of all messages", async () => {
    const { send } = makeApp({
      messages: { by: "connection", limit: 3, windowMs: 1_000 },
      routes: { typing: { by: "connection", limit: 1, windowMs: 1_000 } },
    });
    expect(await send("typing")).toBeUndefined();
    expect(await send("typing")).toMatchObject({ code: "RATE_LIMITED" });
    expect(await send("chat")).toBeUndefined();
    expect(await send("chat")).toMatchObject({ code: "RATE_LIMITED" });
  });

  it("counts an action of the messages on $default, in all namespaces or in one", async () => {
    const read = (ctx: AnyContext) => ({ name: "move", namespaces: [String(ctx.body("in"))] });
    const { app, send } = makeApp(
      {
        routes: {
          move: { by: "connection", limit: 3, windowMs: 1_000 },
          "move:chess": { by: "connection", limit: 1, windowMs: 1_000 },
        },
      },
      { actions: { names: ["move", "move:chess"], read } },
    );
    app.webSocket("$default", () => {});
    const move = (namespace: string) => send("other", ID, { in: namespace });
    expect(await move("chess")).toBeUndefined();
    expect(await move("go")).toBeUndefined();
    expect(await move("chess")).toMatchObject({ code: "RATE_LIMITED" });
    expect(await move("go")).toMatchObject({ code: "RATE_LIMITED" });
  });

  it("counts the action that a message turns out to be", async () => {
    const { app, send } = makeApp(
      { routes: { move: { by: "connection", limit: 1, windowMs: 1_000 } } },
      { actions: { names: ["part", "move"], read: () => ({ name: "part" }) } },
    );
    app.webSocket("$default", (ctx) => ctx.actAs({ name: "move" }));
    expect(await send("other")).toBeUndefined();
    expect(await send("other")).toMatchObject({ code: "RATE_LIMITED" });
  });

  it("is counted once, also with a function as key", async () => {
    const keys: string[] = [];
    const by = (ctx: AnyContext) => {
      keys.push(ctx.connectionId);
      return ctx.connectionId === "free=" ? undefined : "all";
    };
    const { send } = makeApp({
      messages: { by: "connection", limit: 9, windowMs: 1_000 },
      routes: { chat: { by, limit: 1, windowMs: 1_000 } },
    });
    expect([await send("chat", "free="), await send("chat", "free=")]).toEqual([undefined, undefined]);
    expect(await send("chat", "one=")).toBeUndefined();
    expect(await send("chat", "two=")).toMatchObject({ code: "RATE_LIMITED" });
    expect(keys).toHaveLength(4);
  });
});

describe("a limit of a route that does not exist", () => {
  it.each([
    ["around the app", (app: Lift<object>, limits: Middleware[]) => app.use(limits)],
    [
      "around a route",
      (app: Lift<object>, middleware: Middleware[]) => app.webSocket("other", { middleware }, () => {}),
    ],
  ])("fails the first event, %s", async (_where, add) => {
    const app = new Lift<object>({ connections: recordingConnections() });
    add(app, webSocketRateLimit({ routes: { typo: { by: "connection", limit: 1, windowMs: 1_000 } } }));
    app.webSocket("chat", () => {});
    const handled = app.webSocketHandler()(messageEvent("chat", {}), lambdaContext());
    await expect(handled).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(
        /^A middleware names the route `typo`, which does not exist; expected one of .*chat, \$default$/,
      ),
    });
  });
});

describe("a connection that keeps being refused", () => {
  const messages = { by: "connection", limit: 1, windowMs: 3_600_000 } as const;
  const answers = (count: number) =>
    Array(count).fill({ type: "error", request_id: "m1", error: refused(3_600_000) });

  it("is closed at the first refusal over `maxRefusals` per minute, after an error frame", async () => {
    const { send, connections } = makeApp({ messages, maxRefusals: 3 });
    const disconnect = vi.spyOn(connections, "disconnect");
    await times(4, send);
    expect(disconnect).not.toHaveBeenCalled();
    const seen: number[] = [];
    disconnect.mockImplementation(async () => {
      seen.push(connections.sent.length);
      connections.gone(ID);
      return true;
    });
    await send();
    expect(disconnect).toHaveBeenCalledExactlyOnceWith(ID, expect.anything());
    expect(seen).toEqual([4]);
    expect(connections.jsonSentTo(ID)).toEqual([...answers(3), { type: "error", error: refused(3_600_000) }]);
  });

  it("is closed within the time that its event has left", async () => {
    const { send, connections } = makeApp({ messages, maxRefusals: 1 });
    const disconnect = vi.spyOn(connections, "disconnect");
    await times(3, send);
    const budget = disconnect.mock.calls[0]?.[1]?.budget;
    expect(budget?.getRemainingTimeInMillis()).toBe(lambdaContext().getRemainingTimeInMillis());
  });

  it("is closed after 1,000 refusals by default", async () => {
    const { send, connections } = makeApp({ messages });
    await times(1_001, send);
    expect(connections.disconnected).toEqual([]);
    await send();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("does not close others", async () => {
    const { send, connections } = makeApp({ messages, maxRefusals: 3 });
    for (let n = 0; n < 4; n++) for (const id of ["one=", "two="]) await send("chat", id);
    expect(connections.disconnected).toEqual([]);
    await send("chat", "one=");
    expect(connections.disconnected).toEqual(["one="]);
    expect(await send("chat", "two=")).toEqual(refused(3_600_000));
    expect(connections.disconnected).toEqual(["one=", "two="]);
  });

  it("starts over a minute after the first refusal", async () => {
    const { send, connections, pass } = makeApp({ messages, maxRefusals: 3 });
    await times(4, send);
    pass(60_000);
    await times(3, send);
    expect(connections.disconnected).toEqual([]);
    pass(59_999);
    await send();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("is never closed when `maxRefusals` is Infinity", async () => {
    const { send, connections } = makeApp({ messages, maxRefusals: Number.POSITIVE_INFINITY });
    await times(1_500, send);
    expect(connections.disconnected).toEqual([]);
    expect(connections.sent).toHaveLength(1_499);
  });

  it("counts the refusals of all limits together, before and after the authentication", async () => {
    const { connect, send, connections } = makeApp({
      messages: { by: "connection", limit: 5, windowMs: 1_000 },
      routes: { chat: { by: "user", limit: 1, windowMs: 1_000 } },
      maxRefusals: 5,
    });
    await connect({ user: "ada", tenant: "a" });
    // One message passes, the user's limit refuses four, and the connection's limit one.
    await times(6, send);
    expect(connections.disconnected).toEqual([]);
    await send();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("gets its error frame when it cannot be closed, which is logged", async () => {
    const { send, connections, logged } = makeApp({ messages, maxRefusals: 1 });
    await times(2, send);
    const cause = new Error("no route to host");
    vi.spyOn(connections, "disconnect").mockRejectedValue(cause);
    await send();
    const frames = connections.jsonSentTo(ID);
    expect(frames).toEqual([...answers(1), { type: "error", error: refused(3_600_000) }, ...answers(1)]);
    expect(logged).toContainEqual({
      message: "A connection over its rate limit was not closed",
      fields: expect.objectContaining({ error: cause }),
    });
    vi.restoreAllMocks();
    await send();
    expect(connections.disconnected).toEqual([ID]);
  });

  it("is not closed for other failures", async () => {
    const limiter = { consume: () => Promise.reject(new Error("no route to host")) };
    const { send, connections } = makeApp({
      messages: { by: "connection", limiter, onStoreFailure: "closed" },
      maxRefusals: 1,
    });
    expect(await times(3, send)).toMatchObject(Array(3).fill({ code: "UNAVAILABLE" }));
    expect(connections.disconnected).toEqual([]);
  });

  it("is not closed for a refused connect", async () => {
    const { connect, connections } = makeApp({
      connects: { by: "ip", limit: 1, windowMs: 1_000 },
      maxRefusals: 1,
    });
    expect(await times(4, connect)).toEqual([200, 429, 429, 429]);
    expect(connections.disconnected).toEqual([]);
  });
});

describe("a long key", () => {
  it("reaches the limiter as a unique hash", async () => {
    const keys: string[] = [];
    const limiter = { consume: async (key: string) => keys.push(key) };
    const by = (ctx: AnyContext) => String(ctx.body("room"));
    const { handler } = makeApp({ messages: { by, limiter }, routes: { chat: { by, limiter } } });
    // `messages:own:` has 13 bytes, `route:chat:own:` 15.
    const rooms = ["a", "é".repeat(92), "é".repeat(94), `${"é".repeat(94)}e`, "x".repeat(100_000)];
    for (const room of rooms) await handler(messageEvent("chat", { room }), lambdaContext());
    expect(new Set(keys).size).toBe(2 * rooms.length);
    expect(keys.slice(0, 6)).toEqual([
      "messages:own:a",
      "route:chat:own:a",
      `messages:own:${rooms[1]}`,
      `route:chat:own:${rooms[1]}`,
      expect.stringMatching(/^messages#[\w-]{43}$/),
      expect.stringMatching(/^route:chat#[\w-]{43}$/),
    ]);
    for (const key of keys) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(200);
  });

  it("is counted under the same hash again", async () => {
    const by = (ctx: AnyContext) => String(ctx.body("room"));
    const { handler, connections } = makeApp({ messages: { by, limit: 1, windowMs: 1_000 } });
    const room = "r".repeat(3_000);
    for (let n = 0; n < 2; n++) await handler(messageEvent("chat", { room }), lambdaContext());
    expect(connections.sent).toHaveLength(1);
    expect(connections.sent[0]!.data).toContain("RATE_LIMITED");
  });
});

describe("a limiter of rate-limiter-flexible", () => {
  it("counts in its own store, each limit separately", async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 5 });
    const { connect, send } = makeApp({
      connects: { by: "connection", limiter },
      messages: { by: "connection", limiter },
    });
    expect([await connect(), await connect()]).toEqual([200, 429]);
    expect(await send()).toBeUndefined();
    const error = (await send()) as { details: { retryAfterMs: number } };
    expect(error.details.retryAfterMs).toBeGreaterThan(4_000);
    expect(error.details.retryAfterMs).toBeLessThanOrEqual(5_000);
    for (const key of [`connects:connection:${ID}`, `messages:connection:${ID}`]) await limiter.delete(key);
  });

  it("allows exactly its limit of 100 concurrent calls", async () => {
    const { connect } = makeApp({ connects: { by: "ip", limit: 37, windowMs: 60_000 } });
    const statuses = await Promise.all(Array.from({ length: 100 }, () => connect()));
    expect(statuses.filter((status) => status === 200)).toHaveLength(37);
  });

  it("may reject with any object that has msBeforeNext", async () => {
    const limiter = { consume: () => Promise.reject(new RateLimiterRes(0, 1_500.2)) };
    const { send } = makeApp({ messages: { by: "connection", limiter } });
    expect(await send()).toEqual(refused(1_501));
  });
});

describe("with an unavailable limiter store", () => {
  const error = new Error("no route to host");
  const limiter = { consume: () => Promise.reject(error) };

  it("connects are refused with 503; messages pass and are logged", async () => {
    const { connect, send, logged } = makeApp({
      connects: { by: "ip", limiter },
      messages: { by: "connection", limiter },
    });
    expect(await connect()).toBe(503);
    expect(await send()).toBeUndefined();
    expect(logged.map(({ message }) => message)).toEqual([
      "The event failed",
      "The store of the rate limit failed; the event passes",
    ]);
    expect(logged[1]?.fields).toMatchObject({ error });
  });

  it("both follow the option `onStoreFailure`", async () => {
    const { connect, send } = makeApp({
      connects: { by: "ip", limiter, onStoreFailure: "open" },
      messages: { by: "connection", limiter, onStoreFailure: "closed" },
    });
    expect(await connect()).toBe(200);
    expect(await send()).toMatchObject({ code: "UNAVAILABLE", retry: true });
  });
});

describe("an invalid limit throws at construction", () => {
  const base = { by: "ip", limit: 1, windowMs: 1 };
  it.each([
    ["none at all", {}],
    ["an unknown option", { connects: base, perMinute: 10 }],
    ["a limit of 0", { connects: { ...base, limit: 0 } }],
    ["half a message", { messages: { ...base, limit: 1.5 } }],
    ["a window of 0", { messages: { ...base, windowMs: 0 } }],
    ["an endless window", { messages: { ...base, windowMs: Number.POSITIVE_INFINITY } }],
    ["no window", { messages: { by: "ip", limit: 1 } }],
    ["an unknown key", { messages: { ...base, by: "session" } }],
    ["no key", { messages: { limit: 1, windowMs: 1 } }],
    ["a limiter that is none", { messages: { by: "ip", limiter: {} } }],
    ["a limiter and a limit", { messages: { ...base, limiter: new MemoryLimiter(1, 1, Date.now) } }],
    ["another word for closed", { messages: { ...base, onStoreFailure: "shut" } }],
    ["a route of no messages", { routes: { $disconnect: base } }],
    ["no refusal", { messages: base, maxRefusals: 0 }],
    ["half a refusal", { messages: base, maxRefusals: 1.5 }],
    ["a negative number of refusals", { messages: base, maxRefusals: Number.NEGATIVE_INFINITY }],
    ["no number of refusals", { messages: base, maxRefusals: Number.NaN }],
    ["refusals as text", { messages: base, maxRefusals: "5" }],
    ["refusals alone", { maxRefusals: 5 }],
    ["a typo within a route's", { routes: { chat: { ...base, window: 1 } } }],
  ])("%s", (_what, options) => {
    expect(() => webSocketRateLimit(options as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});

it.each([
  ["connects.limit", { connects: { by: "ip", limit: 0, windowMs: 1 } }],
  ["routes.chat.windowMs", { routes: { chat: { by: "ip", limit: 1, windowMs: 0 } } }],
])("an invalid limit is reported as `%s`", (option, options) => {
  expect(() => webSocketRateLimit(options as never)).toThrow(`\`${option}\``);
});

describe("the memory limiter", () => {
  it("does not extend a window when its clock is set back", async () => {
    let now = 3_600_000;
    const limiter = new MemoryLimiter(1, 1_000, () => now);
    await limiter.consume("ada");
    now = 0;
    await expect(limiter.consume("ada")).rejects.toEqual({ msBeforeNext: 1_000 });
    now = 999;
    await expect(limiter.consume("ada")).rejects.toEqual({ msBeforeNext: 1 });
    now = 1_000;
    await limiter.consume("ada");
  });

  it("sets no timer and removes expired windows", async () => {
    vi.useFakeTimers();
    let now = 0;
    const limiter = new MemoryLimiter(1, 1_000, () => now);
    for (let i = 0; i < 100; i++) await limiter.consume(`key ${i}`);
    expect(limiter.size).toBe(100);
    now = 1_000;
    await limiter.consume("another");
    expect(limiter.size).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
});

describe("an address's network", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0DB8:0001:0002:3:4:5:6", "2001:db8:1:2::/64"],
    ["::1", "0:0:0:0::/64"],
    ["2001::4:5:6:7:8", "2001:0:0:4::/64"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["fe80::", "fe80:0:0:0::/64"],
    ["203.0.113.9:4711", "203.0.113.9"],
    ['"[2001:db8::1]:4711"', "2001:db8:0:0::/64"],
    ["[2001:db8::1]", "2001:db8:0:0::/64"],
    ["::ffff:cb00:7109", "203.0.113.9"],
    ["0:0:0:0:0:FFFF:203.0.113.9", "203.0.113.9"],
    ["[::ffff:cb00:7109]:4711", "203.0.113.9"],
    ["64:ff9b::203.0.113.9", "64:ff9b:0:0::/64"],
    ["not an address", "unknown"],
    ["", "unknown"],
  ])("of %s is %s", (address, expected) => {
    expect(clientNetwork(address)).toBe(expected);
  });

  it("is the same for every spelling of an address", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (parts) => {
        const hex = parts.map((part) => part.toString(16));
        const written = hex.map((part) => part.padStart(4, "0").toUpperCase()).join(":");
        const compressed = new URL(`http://[${hex.join(":")}]`).hostname.slice(1, -1);
        expect(clientNetwork(written)).toBe(`${hex.slice(0, 4).join(":")}::/64`);
        expect(clientNetwork(compressed)).toBe(clientNetwork(written));
      }),
    );
  });
});
