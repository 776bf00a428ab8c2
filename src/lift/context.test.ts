import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { anyText } from "../../test/support/any-text.ts";
import { MAX_MESSAGE_BYTES } from "../apigw/index.ts";
import { AppContext } from "./app-context.ts";
import type { Context } from "./context.ts";
import { Lift, LiftError, type LogFields, type Logger } from "./index.ts";
import { connectEvent, lambdaContext, messageEvent, recordingConnections } from "./testing/index.ts";

const ID = "L0SM9cOFvHcCIhw=";

interface Frame {
  readonly type: string;
  readonly request_id: string;
  readonly error: { code: string; message: string; retry: boolean; details?: unknown };
}

/** Runs one event through a handler and returns the result, the sent frames and the log. */
async function run(handler: (ctx: Context) => unknown, event: unknown = messageEvent("a", {})) {
  const connections = recordingConnections();
  const logged: { level: string; message: string; fields: LogFields | undefined }[] = [];
  const log = (level: string) => (message: string, fields?: LogFields) =>
    void logged.push({ level, message, fields });
  const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const app = new Lift({ connections, logger });
  let failed: unknown;
  const guarded = async (ctx: Context) => {
    try {
      await handler(ctx);
    } catch (error) {
      // The app would handle a failed expectation like any error, and the test would pass.
      if (error instanceof Error && error.name === "AssertionError") failed = error;
      throw error;
    }
  };
  app.webSocket("a", guarded).webSocket("$connect", guarded);
  const result = await app.webSocketHandler()(event as never, lambdaContext());
  if (failed !== undefined) throw failed;
  return { result, logged, connections, frames: connections.jsonSentTo(ID) as Frame[] };
}

/** Returns the result of the handler for a message's text, or the code of the error frame. */
async function reading(body: string, read: (ctx: Context) => unknown) {
  let value: unknown;
  const { frames } = await run(
    async (ctx) => {
      value = await read(ctx);
    },
    messageEvent("a", body),
  );
  return frames[0]?.error.code ?? value;
}

describe("the event", () => {
  const event = connectEvent({ query: { token: "t" }, headers: { "X-Custom": "1" } });

  it("has query parameters and case-insensitive headers", async () => {
    await run((ctx) => {
      expect(ctx.query("token")).toBe("t");
      expect(ctx.query("none")).toBeUndefined();
      expect(ctx.query("__proto__")).toBeUndefined();
      expect(ctx.query("toString")).toBeUndefined();
      expect([ctx.header("X-Custom"), ctx.header("x-custom"), ctx.header("X-CUSTOM")]).toEqual([
        "1",
        "1",
        "1",
      ]);
      expect(ctx.header("constructor")).toBeUndefined();
    }, event);
    await run((ctx) => {
      expect([ctx.query("token"), ctx.header("Host")]).toEqual([undefined, undefined]);
    });
  });

  it("is complete, with the authorizer's context and the identity", async () => {
    const authorized = connectEvent({ authorizer: { role: "admin" } });
    const { logged } = await run((ctx) => {
      expect(ctx.event).toBe(authorized);
      expect(ctx.event.requestContext.authorizer?.role).toBe("admin");
      expect(ctx.lambda.functionName).toBe("test");
    }, authorized);
    expect(logged).toEqual([]);
  });

  it("has no body on $connect", async () => {
    const { logged } = await run((ctx) => expect(ctx.body("x")).toBeUndefined(), connectEvent());
    expect(logged).toEqual([]);
  });

  it("has own fields only", async () => {
    expect(await reading('{"a":{"b":1}}', (ctx) => ctx.body("a"))).toEqual({ b: 1 });
    const evil = '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}';
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "admin"]) {
      expect(await reading(evil, (ctx) => ctx.body(name))).toBeUndefined();
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each(["[1,2]", '"text"', "1", "null", "true"])("has no fields when the message is %s", async (body) => {
    expect(await reading(body, (ctx) => [ctx.body("length"), ctx.body("0")])).toEqual([undefined, undefined]);
  });

  it.each(["", "{", "hello", '{"a":1}x', "\u0000", "\ufeff{}"])(
    "is malformed when it is %j",
    async (body) => {
      expect(await reading(body, (ctx) => ctx.body("a"))).toBe("MALFORMED_JSON");
      expect(await reading(body, (ctx) => ctx.bind(z.unknown()))).toBe("MALFORMED_JSON");
    },
  );

  it("fails only with MALFORMED_JSON, for any text", async () => {
    const text = fc.oneof(
      anyText,
      fc.json(),
      fc.json().map((json) => json.slice(0, -1)),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.string(), async (body, field) => {
        let expected: unknown;
        try {
          const parsed: unknown = JSON.parse(body);
          const plain = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
          const hidden = field === "__proto__" || field === "constructor";
          expected =
            plain && !hidden ? Object.entries(parsed).find(([name]) => name === field)?.[1] : undefined;
        } catch {
          expected = "MALFORMED_JSON";
        }
        expect(await reading(body, (ctx) => ctx.body(field))).toEqual(expected);
      }),
    );
  });

  it("may be nested as deep as 128 KB allow", async () => {
    const deep = `{"a":${"[".repeat(65_000)}${"]".repeat(65_000)}}`;
    expect(await reading(deep, (ctx) => Array.isArray(ctx.body("a")))).toBe(true);
    const { frames, result } = await run((ctx) => ctx.reply(ctx.body("a")), messageEvent("a", deep));
    expect(frames.map((frame) => frame.error?.code)).toEqual(["INTERNAL_ERROR"]);
    expect(result).toEqual({ statusCode: 200 });
  });
});

describe("schemas", () => {
  const schema = z.object({ n: z.number(), list: z.array(z.object({ x: z.string() })).default([]) });

  it("type and check what bind gives", async () => {
    expect(await reading('{"n":1}', (ctx) => ctx.bind(schema))).toEqual({ n: 1, list: [] });
  });

  it("fail with the issues in the details", async () => {
    const { frames } = await run((ctx) => ctx.bind(schema), messageEvent("a", { n: 1, list: [{ x: 1 }] }));
    expect(frames[0]?.error).toMatchObject({
      code: "VALIDATION_ERROR",
      retry: false,
      details: [{ path: ["list", "0", "x"], message: expect.any(String) }],
    });
  });

  it("fail with the first 20 issues of a message that has thousands, in a frame that can be sent", async () => {
    const list = Array.from({ length: 2_000 }, () => ({ x: 1 }));
    const { frames } = await run((ctx) => ctx.bind(schema), messageEvent("a", { n: 1, list }));
    expect(frames[0]?.error.details).toHaveLength(20);
    expect(frames[0]?.error.message).toContain("2000 issues");
  });

  it.each([
    [{ n: 1, list: [{ x: 1 }] }, "Invalid `list.0.x`: Invalid input: expected string, received number"],
    [{}, "Invalid `n`: Invalid input: expected number, received undefined"],
    [7, "Invalid message: Invalid input: expected object, received number"],
    [{ n: "x", list: 1 }, "Invalid `n`: Invalid input: expected number, received string (2 issues)"],
  ])("name the first issue and its path in the message: %j", async (body, message) => {
    const { frames } = await run((ctx) => ctx.bind(schema), messageEvent("a", body));
    expect(frames[0]?.error).toMatchObject({ code: "VALIDATION_ERROR", message });
  });

  it("truncate a client's text in the message", async () => {
    const strict = z.record(z.string(), z.strictObject({}));
    const key = "k".repeat(20_000);
    const { frames } = await run((ctx) => ctx.bind(strict), messageEvent("a", { [key]: { [key]: 1 } }));
    expect(frames[0]?.error.message).toMatch(/^Invalid `k{80}…`: Unrecognized key: "k+…$/);
    expect(frames[0]?.error.message.length).toBeLessThan(200);
  });

  it("validate a route's message after its middleware and before its handler", async () => {
    const connections = recordingConnections();
    const app = new Lift({ connections, logger: { debug() {}, info() {}, warn() {}, error() {} } });
    const seen: unknown[] = [];
    app.use((_ctx, next) => {
      seen.push("middleware");
      return next();
    });
    app.webSocket("a", { schema }, async (ctx) => void seen.push(ctx.input.n));
    const handler = app.webSocketHandler();
    await handler(messageEvent("a", { n: 7 }), lambdaContext());
    await handler(messageEvent("a", { n: "7" }), lambdaContext());
    await handler(messageEvent("a", "no json"), lambdaContext());
    expect(seen).toEqual(["middleware", 7, "middleware", "middleware"]);
    expect((connections.jsonSentTo(ID) as Frame[]).map((frame) => frame.error.code)).toEqual([
      "VALIDATION_ERROR",
      "MALFORMED_JSON",
    ]);
  });
});

describe("errors", () => {
  it.each([
    ["details", { details: "x".repeat(MAX_MESSAGE_BYTES) }, "The message fails"],
    ["a message", { message: "x".repeat(MAX_MESSAGE_BYTES) }, "is too long to be sent"],
  ])("reach the client without %s too long for a frame", async (_what, options, expected) => {
    const fails = () => {
      throw new LiftError("MINE", { message: "The message fails", ...options });
    };
    const { frames } = await run(fails, messageEvent("a", { id: "7" }));
    expect(frames[0]).toMatchObject({ request_id: "7", error: { code: "MINE" } });
    expect(frames[0]?.error.message).toContain(expected);
    expect(frames[0]?.error).not.toHaveProperty("details");
  });

  it("have the client's message id up to 1,024 characters", async () => {
    const id = "x".repeat(1_024);
    const { frames } = await run(() => Promise.reject(new Error()), messageEvent("a", { id }));
    expect(frames[0]?.request_id).toBe(id);
  });

  it("have the event's id when the client's message id is longer", async () => {
    const event = messageEvent("a", { id: "x".repeat(1_025) });
    const fails = () => {
      throw new LiftError("MINE");
    };
    const { frames } = await run(fails, event);
    expect(frames[0]).toMatchObject({ request_id: event.requestContext.requestId, error: { code: "MINE" } });
  });

  const secret = "password=hunter2";

  it.each([
    ["an Error", new Error(secret)],
    ["a string", secret],
    ["undefined", undefined],
    ["an object", { secret }],
    ["a frozen Error", Object.freeze(new TypeError(secret))],
  ])("that are %s are hidden from the client and logged in full", async (_what, thrown) => {
    const { frames, logged, result } = await run(
      () => Promise.reject(thrown),
      messageEvent("a", { id: "42" }),
    );
    expect(result).toEqual({ statusCode: 200 });
    expect(frames).toEqual([
      {
        type: "error",
        request_id: "42",
        error: { code: "INTERNAL_ERROR", message: "Internal server error", retry: false },
      },
    ]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({
      level: "error",
      fields: { connectionId: ID, requestId: "Ti89OF32joEFbiA=" },
    });
    expect(logged[0]?.fields?.error).toBe(thrown);
    const refused = await run(() => Promise.reject(thrown), connectEvent());
    expect(refused.result.statusCode).toBe(500);
    expect(refused.result.body).not.toContain("hunter2");
  });

  it("of the application's own reach the client with code, message, details and retry, never the cause", async () => {
    const error = new LiftError("ROOM_FULL", {
      status: 409,
      message: "The room is full",
      details: { seats: 2 },
      retry: true,
      cause: new Error(secret),
    });
    const { frames, logged } = await run(() => Promise.reject(error));
    expect(frames[0]).toEqual({
      type: "error",
      request_id: "Ti89OF32joEFbiA=",
      error: { code: "ROOM_FULL", message: "The room is full", retry: true, details: { seats: 2 } },
    });
    expect(logged[0]).toMatchObject({ level: "warn", fields: { error: { cause: { message: secret } } } });
    const refused = await run(() => Promise.reject(error), connectEvent());
    expect(refused.result.statusCode).toBe(409);
    expect(refused.connections.sent).toEqual([]);
  });

  it("are logged without a stack when the client is refused, and with one when the handler fails", async () => {
    const refused = await run(() => Promise.reject(new LiftError("ROOM_FULL", { status: 409 })));
    expect(refused.logged[0]?.fields).not.toHaveProperty("error.stack");
    const failed = await run(() => Promise.reject(new Error("bug")));
    expect(failed.logged[0]?.fields).toHaveProperty("error.stack");
  });

  it("are sampled in the log, with their count, when a client keeps being refused", async () => {
    const counts: unknown[] = [];
    const warn = (_message: string, fields?: LogFields) => void counts.push(fields?.count);
    const logger = { debug() {}, info() {}, warn, error() {} };
    const app = new Lift({ connections: recordingConnections(), logger });
    const handler = app.webSocketHandler();
    for (let n = 0; n < 1_000; n++) await handler(messageEvent("nope", {}), lambdaContext());
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 1_000]);
  });

  it("are sampled when sends fail, which a client can cause", async () => {
    const counts: unknown[] = [];
    const error = (_message: string, fields?: LogFields) => void counts.push(fields?.count);
    const connections = recordingConnections().throttled("slow");
    const app = new Lift({ connections, logger: { debug() {}, info() {}, warn() {}, error } });
    app.webSocket("a", async (ctx) => void (await ctx.asWebSocket().sendMessageTo("slow", "hi")));
    const handler = app.webSocketHandler();
    for (let n = 0; n < 12; n++) await handler(messageEvent("a", {}), lambdaContext());
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("are sent when their details are not JSON", async () => {
    const details: { self?: unknown } = {};
    details.self = details;
    const { frames } = await run(() => Promise.reject(new LiftError("X", { details })));
    expect(frames[0]?.error).toMatchObject({ code: "X" });
    expect(frames[0]?.error).not.toHaveProperty("details");
  });

  it.each([1, null, { a: 1 }, ["x"]])("have the request's id when the message's id is %j", async (id) => {
    const { frames } = await run(() => Promise.reject(new Error()), messageEvent("a", { id }));
    expect(frames[0]?.request_id).toBe("Ti89OF32joEFbiA=");
  });

  it("end with 200 and are logged when they cannot be sent", async () => {
    const connections = recordingConnections().throttled(ID);
    const post = vi.spyOn(connections, "post");
    const logged: string[] = [];
    const log = (message: string) => void logged.push(message);
    const app = new Lift({ connections, logger: { debug: log, info: log, warn: log, error: log } });
    const result = await app.webSocketHandler()(messageEvent("nope", {}), lambdaContext());
    expect(result).toEqual({ statusCode: 200 });
    expect(logged).toEqual(["The event was refused", "The error frame was not sent"]);
    // Retries end with the function's time.
    expect(post.mock.calls[0]?.[2]?.budget?.getRemainingTimeInMillis()).toBeGreaterThan(0);
  });
});

describe("values that are not JSON", () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;

  it.each([
    ["circular", circular],
    ["a BigInt", 1n],
    ["undefined", undefined],
    ["a function", () => 1],
  ])("are rejected by json and reply: %s", async (_what, value) => {
    for (const use of [(ctx: Context) => ctx.json(value), (ctx: Context) => ctx.reply(value)]) {
      const seen: unknown[] = [];
      await run(async (ctx) => {
        try {
          await use(ctx);
        } catch (error) {
          seen.push((error as LiftError).code);
        }
      });
      expect(seen).toEqual(["NOT_JSON"]);
    }
  });
});

describe("the context", () => {
  it("adds request, connection and route to its log lines", async () => {
    const { logged } = await run((ctx) => {
      ctx.logger.info("hello", { n: 1 });
      ctx.logger.debug("a");
      ctx.logger.warn("b");
      ctx.logger.error("c");
    });
    expect(logged[0]).toEqual({
      level: "info",
      message: "hello",
      fields: { requestId: "Ti89OF32joEFbiA=", connectionId: ID, routeKey: "a", n: 1 },
    });
    expect(logged.map(({ level }) => level)).toEqual(["info", "debug", "warn", "error"]);
  });

  it("has locals for its event, under any name", async () => {
    await run((ctx) => {
      expect(ctx.locals.toString).toBeUndefined();
      const name = "__proto__";
      ctx.locals[name] = { polluted: true };
      expect(ctx.locals.polluted).toBeUndefined();
      expect(ctx.locals).toBe(ctx.locals);
    });
  });

  it("rejects asWebSocket() for other events", () => {
    const alien = new AppContext({ requestContext: {} } as never, lambdaContext(), {} as never);
    for (const use of [() => alien.asWebSocket(), () => alien.asWebSocketV2()]) {
      expect(use).toThrow(
        expect.objectContaining({ code: "NOT_WEBSOCKET", message: "Context is not from a WebSocket event" }),
      );
    }
  });

  it("returns one object from asWebSocket() and asWebSocketV2()", async () => {
    const { logged } = await run((ctx) => {
      expect(ctx.asWebSocket()).toBe(ctx.asWebSocketV2());
      expect(ctx.asWebSocket().connectionId).toBe(ID);
    });
    expect(logged).toEqual([]);
  });
});
