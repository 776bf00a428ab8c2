import type { APIGatewayProxyWebsocketHandlerV2 } from "aws-lambda";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import type { LambdaHandler, WebSocketResult } from "../apigw/index.ts";
import { memoryConnectionStore } from "../store/memory/index.ts";
import { type Context, Lift, LiftError, type LiftOptions, type Logger, type Middleware } from "./index.ts";
import {
  connectEvent,
  createTestWebSocketEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "./testing/index.ts";

const SENDER = "L0SM9cOFvHcCIhw=";
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function makeApp<State extends object>(options: LiftOptions<State> = {}) {
  const connections = recordingConnections();
  const app = new Lift<State>({ logger: quiet, connections, ...options });
  const handler = app.webSocketHandler();
  const send = (route: string, body: unknown = {}) => handler(messageEvent(route, body), lambdaContext());
  const connect = () => handler(connectEvent(), lambdaContext());
  const disconnect = () => handler(disconnectEvent(), lambdaContext());
  const errors = () => connections.jsonSentTo(SENDER).map((frame) => (frame as ErrorFrame).error.code);
  return { app, connections, handler, send, connect, disconnect, errors };
}

interface ErrorFrame {
  type: string;
  request_id: string;
  error: { code: string; message: string; retry: boolean; details?: unknown };
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return (error as LiftError).code;
  }
  return "none";
};

describe("a route that answers", () => {
  const [input, output] = [z.object({ n: z.number() }), z.object({ double: z.number() })];
  const payload = { n: 21 };

  it("sends what its handler returns as the response, under the message's id", async () => {
    const { app, send, connections } = makeApp();
    app.webSocket("double", { input, output }, ({ input: { n } }) => ({ double: 2 * n, secret: 1 }));
    expect(await send("double", { id: "r1", action: "double", payload })).toEqual({ statusCode: 200 });
    expect(connections.jsonSentTo(SENDER)).toEqual([
      { type: "response", request_id: "r1", success: true, data: { double: 42 } },
    ]);
  });

  it("refuses a payload that does not match, and hides a result that does not", async () => {
    const { app, send, errors } = makeApp();
    app.webSocket("double", { input, output }, () => ({ double: "42" as unknown as number }));
    await send("double", { id: "r1", payload: { n: "x" } });
    await send("double", { id: "r2", payload });
    expect(errors()).toEqual(["VALIDATION_ERROR", "INTERNAL_ERROR"]);
    expect(codeOf(() => app.webSocket("$connect", { output }, () => ({ double: 1 })))).toBe("APP_STARTED");
    expect(codeOf(() => new Lift().webSocket("$connect", { output }, () => ({ double: 1 })))).toBe(
      "INVALID_ROUTE",
    );
  });
});

describe("routes", () => {
  it("runs the handler of the event's route", async () => {
    const { app, send } = makeApp();
    const seen: string[] = [];
    app.webSocket("a", () => void seen.push("a"));
    app.webSocket("b", () => void seen.push("b"));
    await send("b");
    expect(seen).toEqual(["b"]);
  });

  it("falls back to $default, then to the default handler, then to NOT_FOUND", async () => {
    const seen: string[] = [];
    const withDefault = makeApp({ defaultHandler: () => void seen.push("option") });
    withDefault.app.webSocket("$default", () => void seen.push("$default"));
    await withDefault.send("nope");
    await makeApp({ defaultHandler: () => void seen.push("option") }).send("nope");
    const without = makeApp();
    expect(await without.send("nope", { id: "7" })).toEqual({ statusCode: 200 });
    expect(seen).toEqual(["$default", "option"]);
    expect(without.connections.jsonSentTo(SENDER)).toEqual([
      {
        type: "error",
        request_id: "7",
        error: { code: "NOT_FOUND", message: "Unknown route", retry: false },
      },
    ]);
  });

  it.each(["__proto__", "constructor", "toString", "$connect", "$disconnect", ""])(
    "rejects the route key %j with NOT_FOUND",
    async (key) => {
      const { app, send, errors } = makeApp();
      app.webSocket("$connect", () => {
        throw new Error("selected by a message");
      });
      await send(key);
      expect(errors()).toEqual(["NOT_FOUND"]);
    },
  );

  it("accepts a connection and a disconnect without a handler", async () => {
    const { connect, disconnect } = makeApp();
    expect(await connect()).toEqual({ statusCode: 200 });
    expect(await disconnect()).toEqual({ statusCode: 200 });
  });

  it("rejects a key that is registered twice, in either form", () => {
    const { app } = makeApp();
    app.webSocket("a", () => {}).handle("CONNECT", "/connect", () => {});
    expect(codeOf(() => app.webSocket("a", () => {}))).toBe("ROUTE_EXISTS");
    expect(codeOf(() => app.handle("MESSAGE", "/a", () => {}))).toBe("ROUTE_EXISTS");
    expect(codeOf(() => app.webSocket("$connect", () => {}))).toBe("ROUTE_EXISTS");
  });

  it("rejects routes that could never run", () => {
    const { app } = makeApp();
    const schema = z.object({});
    expect(() => app.webSocket("", () => {})).toThrow("A route key must be a non-empty string");
    expect(codeOf(() => app.webSocket("", () => {}))).toBe("INVALID_ROUTE");
    expect(codeOf(() => app.webSocket("a", undefined as never))).toBe("INVALID_ROUTE");
    expect(codeOf(() => app.webSocket("$connect", { schema }, () => {}))).toBe("INVALID_ROUTE");
    expect(codeOf(() => app.handle("MESSAGE", "/$connect", () => {}))).toBe("INVALID_ROUTE");
    expect(codeOf(() => app.handle("MESSAGE", "message", () => {}))).toBe("INVALID_ROUTE");
    expect(codeOf(() => app.handle("GET" as "MESSAGE", "/a", () => {}))).toBe("INVALID_ROUTE");
  });

  it.each<[string, string, object]>([
    ["`schema` must be a Standard Schema; got an object", "a", { schema: {} }],
    ["`input` must be a Standard Schema; got a function", "a", { input: () => true, output: z.object({}) }],
    ["`output` must be a Standard Schema; got true", "a", { output: true }],
    ["`input` needs `output`", "a", { input: z.object({}) }],
    ["`schema` and `output` cannot be combined", "a", { schema: z.object({}), output: z.object({}) }],
    ["it has no message to validate", "$disconnect", { input: z.object({}) }],
    ["`middleware` must be an array of middleware; got a function", "a", { middleware: () => {} }],
    ["Unknown option `ouput`", "a", { ouput: z.object({}) }],
    ["Options must be an object; got null", "a", null as never],
  ])("rejects options that a route cannot have: %s", (fault, key, options) => {
    const register = () => new Lift().webSocket(key, options, () => {});
    expect(register).toThrow(`Route \`${key}\`: ${fault}`);
    expect(codeOf(register)).toBe("INVALID_ROUTE");
  });

  it("cannot change after its first event", async () => {
    const { app, connect } = makeApp();
    app.webSocket("a", () => {});
    await connect();
    expect(codeOf(() => app.webSocket("b", () => {}))).toBe("APP_STARTED");
    expect(codeOf(() => app.use(() => {}))).toBe("APP_STARTED");
  });

  it("lists every route key that the API must have", () => {
    const { app } = makeApp({ defaultHandler: () => {} });
    app.webSocket("chat", () => {}).webSocket("$connect", () => {});
    expect(app.routeKeys.sort()).toEqual(["$connect", "$default", "$disconnect", "chat"]);
    expect(new Lift().routeKeys).not.toContain("$default");
  });

  it("supports the older form `handle`", async () => {
    const { app, connect, send, disconnect } = makeApp();
    const seen: string[] = [];
    app.handle("CONNECT", "/connect", (ctx) => void seen.push(ctx.routeKey));
    app.handle("MESSAGE", "/message", (ctx) => void seen.push(ctx.routeKey));
    app.handle("DISCONNECT", "/disconnect", (ctx) => void seen.push(ctx.routeKey));
    await connect();
    await send("message");
    await disconnect();
    expect(seen).toEqual(["$connect", "message", "$disconnect"]);
  });

  it("passes the test of the seed document", async () => {
    const { app, handler } = makeApp();
    app.webSocket("message", (ctx) => ctx.status(200).json({ received: ctx.body("data") }));
    const event = createTestWebSocketEvent("message", "conn123", '{"data":"test"}');
    expect(await handler(event, lambdaContext())).toEqual({ statusCode: 200, body: '{"received":"test"}' });
  });

  it("rejects other events with NOT_WEBSOCKET", async () => {
    const { handler } = makeApp();
    for (const alien of [{}, null, "x", { httpMethod: "GET", requestContext: { stage: "dev" } }]) {
      await expect(handler(alien as never, lambdaContext())).rejects.toMatchObject({
        code: "NOT_WEBSOCKET",
        message: "Context is not from a WebSocket event",
      });
    }
  });
});

describe("a handler", () => {
  it("may return the outcome of ctx.reply, which is not a result", async () => {
    const { app, send, connections } = makeApp();
    app.webSocket("a", (ctx) => ctx.reply("hello"));
    expect(await send("a")).toEqual({ statusCode: 200 });
    connections.gone(SENDER);
    expect(await send("a")).toEqual({ statusCode: 200 });
    expect(connections.jsonSentTo(SENDER)).toEqual(["hello"]);
  });

  it.each([0, 1])("may return a thenable that is not a Promise, behind %i middleware", async (count) => {
    const { app, send } = makeApp();
    // As the query builders of databases do.
    const thenable = (resolve: (result: WebSocketResult) => void) =>
      void setImmediate(resolve, { statusCode: 201 });
    for (let n = 0; n < count; n++) app.use((_ctx, next) => next());
    // biome-ignore lint/suspicious/noThenProperty: the handler must return an object with `then`
    app.webSocket("a", () => ({ then: thenable }) as never);
    expect(await send("a")).toEqual({ statusCode: 201 });
  });
});

describe("middleware", () => {
  const tracing =
    (seen: string[], name: string): Middleware =>
    async (_ctx, next) => {
      seen.push(`${name} in`);
      await next();
      seen.push(`${name} out`);
    };

  it("runs in order around the handler, with a route's own inside the app's", async () => {
    const { app, send } = makeApp();
    const seen: string[] = [];
    app.use(tracing(seen, "1"), tracing(seen, "2"));
    app.webSocket("a", { middleware: [tracing(seen, "route")] }, () => void seen.push("handler"));
    app.use(tracing(seen, "3"));
    await send("a");
    expect(seen.join(", ")).toBe("1 in, 2 in, 3 in, route in, handler, route out, 3 out, 2 out, 1 out");
  });

  it("runs around unknown routes, $connect and $disconnect without handlers too", async () => {
    const { app, send, connect, disconnect } = makeApp();
    const seen: string[] = [];
    app.use((ctx, next) => {
      seen.push(ctx.routeKey);
      return next();
    });
    await connect();
    await send("nope");
    await disconnect();
    expect(seen).toEqual(["$connect", "nope", "$disconnect"]);
  });

  it("sees the handler's outcome after next()", async () => {
    const { app, connect } = makeApp();
    const seen: number[] = [];
    app.use(async (ctx, next) => {
      await next();
      seen.push(ctx.statusCode);
    });
    app.webSocket("$connect", async (ctx) => ctx.status(401));
    await connect();
    expect(seen).toEqual([401]);
  });

  it.each(["a sync handler", "an async handler"])("catches what %s throws through next()", async (kind) => {
    const { app, send, errors } = makeApp();
    const seen: unknown[] = [];
    const failure = new Error("broken");
    app.use((_ctx, next) => next().catch((error) => void seen.push(error)));
    app.webSocket("a", () => {
      if (kind === "an async handler") return Promise.reject(failure);
      throw failure;
    });
    await send("a");
    expect(seen).toEqual([failure]);
    expect(errors()).toEqual([]);
  });

  it.each([1, 3])("cannot call next() twice, in an app with %i middleware", async (count) => {
    const { app, connect, send, errors } = makeApp();
    for (let n = 1; n < count; n++) app.use((_ctx, next) => next());
    let handled = 0;
    app.use(async (_ctx, next) => {
      await next();
      await next();
    });
    app.webSocket("a", () => void handled++);
    await send("a");
    expect(handled).toBe(1);
    expect(errors()).toEqual(["INTERNAL_ERROR"]);
    expect((await connect()).statusCode).toBe(500);
  });

  const forgetful: { readonly [what: string]: Middleware } = {
    "an async one": async (_ctx, next) => void next(),
    "a sync one that returns something": (_ctx, next) => {
      next();
      return true;
    },
    "one that awaits first": async (_ctx, next) => {
      await 0;
      next();
    },
    "one around another": async (_ctx, next) => void next(),
  };

  it.each(Object.keys(forgetful))(
    "waits for next() and reports its error when %s does not await it",
    async (what) => {
      for (const key of ["asynchronous", "checked"]) {
        const { app, send, errors } = makeApp();
        app.use(forgetful[what]!);
        if (what === "one around another") app.use(async (_ctx, next) => await next());
        const fails = async () => {
          await new Promise(setImmediate);
          throw new LiftError("MINE");
        };
        app.webSocket("asynchronous", fails);
        app.webSocket("checked", { schema: z.object({}) }, fails);
        await send(key);
        expect(errors()).toEqual(["MINE"]);
      }
    },
  );

  it("reports a handler's synchronous error when an async middleware does not await next()", async () => {
    const { app, send, errors } = makeApp();
    app.use(async (_ctx, next) => void next());
    app.webSocket("a", () => {
      throw new LiftError("MINE");
    });
    await send("a");
    expect(errors()).toEqual(["MINE"]);
  });

  it("survives a next() that fails while its middleware awaits something else", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => void unhandled.push(error);
    process.on("unhandledRejection", note);
    for (const inner of [
      [],
      [async () => Promise.reject("inner")],
      [async (_ctx: unknown, next: () => unknown) => await next()],
      [
        () => {
          throw "inner, at once";
        },
      ],
    ]) {
      const { app, send } = makeApp();
      app.use(
        async (_ctx, next) => {
          next();
          for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        },
        ...(inner as Middleware[]),
      );
      app.webSocket("a", async () => Promise.reject("handler"));
      await send("a");
    }
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  it("lets an async middleware catch what next() throws, at once or later", async () => {
    for (const handler of [
      () => Promise.reject(1),
      () => {
        throw 1;
      },
    ]) {
      const { app, send, errors } = makeApp();
      app.use(async (_ctx, next) => {
        try {
          await next();
        } catch {}
      });
      app.webSocket("a", handler as () => Promise<void>);
      await send("a");
      expect(errors()).toEqual([]);
    }
  });

  it("lets an async middleware catch what next() throws inside a middleware that returns nothing", async () => {
    const { app, send, errors } = makeApp();
    app.use(
      (_ctx, next) => next().catch(() => {}),
      (_ctx, next) => void next(),
    );
    app.webSocket("a", () => Promise.reject(1));
    await send("a");
    expect(errors()).toEqual([]);
  });

  it("does not wait for a handler that its middleware has abandoned", async () => {
    const { app, send, errors } = makeApp();
    app.use((_ctx, next) => Promise.race([next(), Promise.reject(new LiftError("TIMEOUT"))]));
    app.webSocket("a", () => new Promise(() => {}));
    await send("a");
    expect(errors()).toEqual(["TIMEOUT"]);
  });

  it("reports a second next() that nobody awaited", async () => {
    const logged: unknown[] = [];
    const logger = {
      ...quiet,
      error: (_message: string, fields: { error?: unknown } = {}) =>
        void logged.push((fields.error as LiftError).code),
    };
    const { app, send, errors } = makeApp({ logger });
    app.use((_ctx, next) => {
      next();
      next();
    });
    app.webSocket("a", async () => {});
    await send("a");
    expect(errors()).toEqual(["INTERNAL_ERROR"]);
    expect(logged).toEqual(["NEXT_CALLED_TWICE"]);
  });

  it("waits for the handler when a middleware does not return next()", async () => {
    const { app, send, errors } = makeApp();
    let handled = 0;
    app.use((_ctx, next) => {
      next();
    });
    app.webSocket("a", async () => {
      await new Promise((resolve) => setImmediate(resolve));
      handled++;
      throw new LiftError("TOO_LATE");
    });
    await send("a");
    expect(handled).toBe(1);
    expect(errors()).toEqual(["TOO_LATE"]);
  });

  it("separates two events that overlap in one chain", async () => {
    const { app, send } = makeApp();
    const handled: unknown[] = [];
    app.use(async (ctx, next) => {
      ctx.locals.n = ctx.body("n");
      await Promise.resolve();
      await next();
    });
    app.webSocket("a", (ctx) => void handled.push(ctx.locals.n));
    await Promise.all([send("a", { n: 1 }), send("a", { n: 2 })]);
    expect(handled.sort()).toEqual([1, 2]);
  });

  it("refuses a client when a middleware neither calls next() nor sets a status", async () => {
    const { app, connect } = makeApp();
    app.use(() => ({ statusCode: 401 }));
    expect((await connect()).statusCode).toBe(500);
  });

  it("refuses with the status of a middleware that does not call next()", async () => {
    const { app, connect } = makeApp();
    app.use((ctx) => ctx.status(403).json({ error: "no" }));
    expect(await connect()).toEqual({ statusCode: 403, body: '{"error":"no"}' });
  });
});

describe("the handler's result", () => {
  it("decides on $connect, as ctx or as a plain result", async () => {
    const asCtx = makeApp();
    asCtx.app.webSocket("$connect", (ctx) => ctx.status(401).json({ error: "Unauthorized" }));
    expect(await asCtx.connect()).toEqual({ statusCode: 401, body: '{"error":"Unauthorized"}' });
    const raw = makeApp();
    raw.app.webSocket("$connect", async () => ({ statusCode: 401, body: "no" }));
    expect(await raw.connect()).toEqual({ statusCode: 401, body: "no" });
  });

  it("sets the subprotocol", async () => {
    const { app, connect } = makeApp();
    app.webSocket("$connect", (ctx) => ctx.setHeader("Sec-WebSocket-Protocol", "chat"));
    expect(await connect()).toEqual({ statusCode: 200, headers: { "Sec-WebSocket-Protocol": "chat" } });
  });

  it.each([
    null,
    "ok",
    200,
    true,
    {},
    [],
    { statusCode: "200" },
    { statusCode: 99 },
    { statusCode: 200, body: {} },
  ])("is an error when it is %j", async (answer) => {
    const { app, connect, send, errors } = makeApp();
    app.webSocket("$connect", () => answer as never);
    app.webSocket("a", async () => answer as never);
    expect((await connect()).statusCode).toBe(500);
    await send("a");
    expect(errors()).toEqual(["INTERNAL_ERROR"]);
  });

  it("stays the handler's own when a middleware adds to the event's result", async () => {
    const { app, send } = makeApp();
    const own = Object.freeze({ statusCode: 200, body: "own", headers: Object.freeze({ a: "1" }) });
    app.use(async (ctx, next) => {
      await next();
      if (ctx.body("add") === true) ctx.status(201).text("other").setHeader("b", "2");
    });
    app.webSocket("a", () => own);
    expect(await send("a", { add: true })).toEqual({
      statusCode: 201,
      body: "other",
      headers: { a: "1", b: "2" },
    });
    expect(await send("a")).toEqual({ statusCode: 200, body: "own", headers: { a: "1" } });
  });

  it("refuses the client when it cannot be serialized", async () => {
    const { app, connect } = makeApp();
    app.webSocket("$connect", (ctx) => ctx.setHeader("x-count", 1n as never));
    expect((await connect()).statusCode).toBe(500);
  });

  it("sends nothing for a 4xx on a message route, as the service does", async () => {
    const { app, send, connections } = makeApp();
    app.webSocket("a", (ctx) => ctx.status(400).json({ error: "Unknown message type" }));
    expect(await send("a")).toEqual({ statusCode: 400, body: '{"error":"Unknown message type"}' });
    expect(connections.sent).toEqual([]);
  });

  it.each([0, 99, 600, 200.5, Number.NaN])("rejects the status %d", async (status) => {
    const { app, connect } = makeApp();
    app.webSocket("$connect", (ctx) => ctx.status(status));
    expect((await connect()).statusCode).toBe(500);
  });
});

describe("options", () => {
  it.each([[["opaque-credential"]], [{ toString: () => "opaque-credential" }], [() => "opaque-credential"]])(
    "does not show the value of an option that may be a secret",
    (logger) => {
      const refused = () => new Lift({ logger } as never);
      expect(refused).toThrow(/^`logger` must be an object with .*\(\); got an? (?:array|object|function)$/);
    },
  );

  it("throw at construction when unknown or invalid", () => {
    expect(codeOf(() => new Lift({ conectionStore: 1 } as object))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ connectionStore: {} as never }))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ lifetimeMs: 0 }))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ lifetimeMs: Number.NaN }))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ deadlineMarginMs: -1 }))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ logger: {} as never }))).toBe("INVALID_OPTION");
    expect(codeOf(() => new Lift({ lifetimeMs: 1, deadlineMarginMs: 0 }))).toBe("none");
  });

  it("are listed when one is misspelt", () => {
    expect(() => new Lift({ stor: 1 } as object)).toThrow(
      /Unknown option `stor`; expected one of connectionStore/,
    );
  });
});

describe("types", () => {
  interface State {
    room?: string;
    seats: number[];
    since: string;
  }

  it("carry over from the app to its handlers", () => {
    const app = new Lift<State>({ connectionStore: memoryConnectionStore() });
    app.webSocket("a", async (ctx) => {
      expectTypeOf(await ctx.get("seats")).toEqualTypeOf<number[] | undefined>();
      ctx.set("since", new Date());
      // @ts-expect-error unknown key
      ctx.set("rom", "r");
      // @ts-expect-error wrong type for the key
      ctx.set("seats", "one");
      await ctx.update("seats", (seats) => {
        expectTypeOf(seats).toEqualTypeOf<number[] | undefined>();
        return [...(seats ?? []), 1];
      });
      expectTypeOf(ctx.input).toBeUnknown();
    });
  });

  it("give a route with a schema its typed input", () => {
    const app = new Lift<State>();
    const schema = z.object({ n: z.string().transform(Number) });
    app.webSocket("a", { schema }, (ctx) => {
      expectTypeOf(ctx.input).toEqualTypeOf<{ n: number }>();
      helper(ctx);
    });
    const helper = (ctx: Context<State>) => void ctx.requestId;
  });

  it("give a route that answers its typed input and result", () => {
    const app = new Lift<State>();
    const [input, output] = [z.object({ n: z.string().transform(Number) }), z.object({ sum: z.number() })];
    app.webSocket("a", { input, output }, (ctx) => {
      expectTypeOf(ctx.input).toEqualTypeOf<{ n: number }>();
      return { sum: ctx.input.n };
    });
    // @ts-expect-error the result does not match the schema
    app.webSocket("b", { output }, () => ({ sum: "1" }));
  });

  it("allow only nothing, ctx and results as return values", () => {
    const app = new Lift();
    // @ts-expect-error a string is not a result
    app.webSocket("a", () => "ok");
    // @ts-expect-error a body without a status is not a result
    app.webSocket("b", async () => ({ body: "x" }));
    app.webSocket("c", () => ({ statusCode: 200 }));
    app.webSocket("d", async (ctx) => ctx.status(200));
    const anyMiddleware: Middleware = (_ctx, next) => next();
    new Lift<State>().use(anyMiddleware);
  });

  it("fit the event types of other packages", () => {
    const handler = new Lift().webSocketHandler();
    expectTypeOf(handler).toExtend<APIGatewayProxyWebsocketHandlerV2>();
    expectTypeOf(handler).toExtend<LambdaHandler>();
    expectTypeOf<ReturnType<typeof handler>>().toEqualTypeOf<Promise<WebSocketResult>>();
  });
});
