import { describe, expect, it } from "vitest";
import type { ConnectionStore } from "../store/index.ts";
import { memoryConnectionStore } from "../store/memory/index.ts";
import {
  type AnyContext,
  Lift,
  LiftError,
  type LiftOptions,
  type Logger,
  type Middleware,
  type Next,
  type Outcome,
  type Phase,
} from "./index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "./testing/index.ts";

const placed = (phase: Phase) => (run: Middleware) => {
  const middleware: Middleware = (ctx, next) => run(ctx, next);
  return Object.assign(middleware, { phase });
};
const observer = placed("observer");
const guard = placed("guard");

function makeApp(options: Partial<LiftOptions<object>> = {}) {
  const logged: string[] = [];
  const log = (message: string) => void logged.push(message);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const connections = recordingConnections();
  const app = new Lift({ connections, logger, ...options });
  const outcomes: (Outcome & { route: string })[] = [];
  const record = observer(async (ctx, next) => {
    await next();
    outcomes.push({ route: ctx.route, ...ctx.outcome });
  });
  const handler = app.webSocketHandler();
  return {
    app,
    connections,
    logged,
    outcomes,
    record,
    connect: () => handler(connectEvent(), lambdaContext()),
    send: (route: string) => handler(messageEvent(route, {}), lambdaContext()),
    disconnect: () => handler(disconnectEvent(), lambdaContext()),
  };
}

const refuse = () => {
  throw new LiftError("UNAUTHORIZED");
};

/** Creates a memory store with a method that fails. */
function failing(method: keyof ConnectionStore): ConnectionStore {
  const store = memoryConnectionStore();
  return new Proxy(store, {
    get: (target, name: keyof ConnectionStore) => {
      if (name === "peek") return undefined;
      if (name === method) return () => Promise.reject(new Error("down"));
      return target[name]?.bind(target);
    },
  });
}

describe("an observer", () => {
  it("sees a refusal by a middleware that was added before it", async () => {
    const { app, record, outcomes, connect, send, disconnect } = makeApp();
    app.use(refuse, record).webSocket("greet", () => {});
    expect((await connect()).statusCode).toBe(401);
    expect(await send("greet")).toEqual({ statusCode: 200 });
    await disconnect();
    const refused = { statusCode: 401, code: "UNAUTHORIZED" };
    expect(outcomes).toEqual([
      { route: "$connect", ...refused },
      { route: "greet", ...refused },
      { route: "$disconnect", ...refused },
    ]);
  });

  it.each([
    ["a status", (ctx: AnyContext) => ctx.status(404), { statusCode: 404 }],
    ["a raw result", () => ({ statusCode: 302 }), { statusCode: 302 }],
    ["nothing", () => {}, { statusCode: 200 }],
    ["a string thrown", () => Promise.reject("broken"), { statusCode: 500, code: "INTERNAL_ERROR" }],
    [
      "its own error",
      () => Promise.reject(new LiftError("MINE", { status: 418 })),
      { statusCode: 418, code: "MINE" },
    ],
  ] as const)("sees %s of the handler", async (_what, handler, outcome) => {
    const { app, record, outcomes, send } = makeApp();
    app.use(record).webSocket("greet", handler);
    await send("greet");
    expect(outcomes).toEqual([{ route: "greet", ...outcome }]);
  });

  it.each([
    ["$connect", "save", "connect"],
    ["$disconnect", "delete", "disconnect"],
  ] as const)("sees a failure after the handler of %s", async (route, method, event) => {
    const app = makeApp({ connectionStore: failing(method) });
    app.app.use(app.record);
    await app[event]();
    expect(app.outcomes).toEqual([{ route, statusCode: 503, code: "STORE_FAILED" }]);
  });

  it("knows an unregistered route as $default", async () => {
    const { app, record, outcomes, send } = makeApp();
    app.use(record);
    await send("by-the-client");
    expect(outcomes).toEqual([{ route: "$default", statusCode: 404, code: "NOT_FOUND" }]);
  });

  it.each([
    ["fails before next()", () => Promise.reject(new Error("before"))],
    ["throws", refuse],
    ["forgets next()", () => {}],
    [
      "calls next() twice",
      async (_ctx: AnyContext, next: Next) => {
        await next();
        await next();
      },
    ],
  ])("changes nothing for the event or other observers when it %s", async (_what, run) => {
    const { app, record, outcomes, send } = makeApp();
    let handled = 0;
    app.use(observer(run), record).webSocket("greet", () => {
      handled++;
      return { statusCode: 202 };
    });
    expect(await send("greet")).toEqual({ statusCode: 202 });
    expect(handled).toBe(1);
    expect(outcomes).toEqual([{ route: "greet", statusCode: 202 }]);
  });

  it("does not affect the event when it fails", async () => {
    const { app, record, outcomes, logged, send } = makeApp();
    const late = observer(async (_ctx, next) => {
      await next();
      throw new Error("late");
    });
    app.use(record, late).webSocket("greet", () => {});
    expect(await send("greet")).toEqual({ statusCode: 200 });
    expect(outcomes).toHaveLength(1);
    expect(logged).toEqual(["An observer failed"]);
  });

  it("wraps one route when the route names it", async () => {
    const { app, record, outcomes, send } = makeApp();
    app.webSocket("watched", { middleware: [refuse, record] }, () => {}).webSocket("other", () => {});
    await send("other");
    await send("watched");
    expect(outcomes.map(({ route }) => route)).toEqual(["watched"]);
  });

  it("wraps what the event sends and stores with, the error frame included", async () => {
    const store = memoryConnectionStore();
    const { app, connections, connect, send, disconnect } = makeApp({ connectionStore: store });
    const calls: string[] = [];
    const spy = <Port extends object>(port: Port): Port =>
      new Proxy(port, {
        get: (target, name) => {
          const value = Reflect.get(target, name) as unknown;
          if (typeof value !== "function" || name === "peek") return name === "peek" ? undefined : value;
          calls.push(String(name));
          return value.bind(target);
        },
      });
    app.use(
      observer((ctx, next) => {
        ctx.instrument({ connections: spy, store: spy });
        return next();
      }),
    );
    app.webSocket("greet", async (ctx: AnyContext) => {
      ctx.set("seen", true);
      await ctx.reply("hello");
    });
    app.webSocket("fail", refuse);
    await connect();
    await send("greet");
    await send("fail");
    await disconnect();
    expect(calls).toEqual(["save", "get", "post", "setState", "get", "post", "get", "delete"]);
    expect(connections.sent).toHaveLength(2);
  });
});

describe("a guard", () => {
  it("refuses before the middleware added before it, and before the row is read", async () => {
    const { app, record, outcomes, connect, send } = makeApp({ connectionStore: failing("get") });
    const ran: string[] = [];
    app.use((_ctx, next) => {
      ran.push("middleware");
      return next();
    });
    app.use(
      record,
      guard(() => {
        throw new LiftError("RATE_LIMITED");
      }),
    );
    app.webSocket("greet", () => {});
    expect((await connect()).statusCode).toBe(429);
    await send("greet");
    expect(ran).toEqual([]);
    expect(outcomes.map(({ code }) => code)).toEqual(["RATE_LIMITED", "RATE_LIMITED"]);
  });

  it("passes an event with next()", async () => {
    const { app, send } = makeApp();
    app.use(guard((_ctx, next) => next())).webSocket("greet", () => ({ statusCode: 202 }));
    expect(await send("greet")).toEqual({ statusCode: 202 });
  });
});

it("accepts several middleware in an array", async () => {
  const { app, send } = makeApp();
  const order: number[] = [];
  const mark = (n: number): Middleware => {
    return (_ctx, next) => {
      order.push(n);
      return next();
    };
  };
  app.use([mark(1), mark(2)], mark(3)).webSocket("greet", { middleware: [[mark(4)], mark(5)] }, () => {});
  await send("greet");
  expect(order).toEqual([1, 2, 3, 4, 5]);
});
