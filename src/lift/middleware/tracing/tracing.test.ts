import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ConnectionStore } from "../../../store/index.ts";
import { memoryConnectionStore } from "../../../store/memory/index.ts";
import { type AnyContext, Lift, LiftError, type LiftOptions } from "../../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { traceHeaders, type WebSocketTracingOptions, webSocketTracing } from "./index.ts";
import { fromW3c, fromXRay, toHeaders } from "./trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const XRAY = `Root=1-${TRACE.slice(0, 8)}-${TRACE.slice(8)};Parent=${SPAN};Sampled=1`;
const W3C = `00-${TRACE}-${SPAN}-01`;
const SECRET = "c2lnbmF0dXJlLW9mLWFkYQ";

const exporter = new InMemorySpanExporter();
const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });

/** Creates a store without `peek`, as stores outside of this process are. */
function remoteStore(): ConnectionStore {
  const store = memoryConnectionStore();
  return new Proxy(store, {
    get: (target, name: keyof ConnectionStore) => (name === "peek" ? undefined : target[name]?.bind(target)),
  });
}

function makeApp(options: WebSocketTracingOptions = {}, lift: Partial<LiftOptions<object>> = {}) {
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const connections = recordingConnections().gone("gone=").throttled("slow=");
  const app = new Lift<object>({ connections, connectionStore: remoteStore(), logger: silent, ...lift });
  app.use((ctx, next) => {
    if (ctx.query("token") === "bad") throw new LiftError("UNAUTHORIZED");
    return next();
  });
  app.use(webSocketTracing({ tracerProvider, ...options }));
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    app,
    connect: (query: { [name: string]: string } = {}, headers: { [name: string]: string } = {}) =>
      handler(connectEvent({ query, headers }), lambda),
    send: (route: string, body: unknown = {}) => handler(messageEvent(route, body), lambda),
    disconnect: () => handler(disconnectEvent({ code: 1001, reason: SECRET }), lambda),
  };
}

const finished = () => exporter.getFinishedSpans();
const named = (name: string) => finished().find((span) => span.name === name);

beforeEach(() => {
  exporter.reset();
  vi.stubEnv("_X_AMZN_TRACE_ID", undefined);
});

afterEach(() => {
  context.disable();
  propagation.disable();
  trace.disable();
  vi.unstubAllEnvs();
});

describe("an event's span", () => {
  it("has the fields of API Gateway and Lambda for a connect", async () => {
    await makeApp().connect();
    expect(named("$connect")).toMatchObject({
      kind: SpanKind.SERVER,
      status: { code: SpanStatusCode.UNSET },
      attributes: {
        "faas.invocation_id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        "faas.trigger": "http",
        "aws.lambda.invoked_arn": "arn:aws:lambda:us-east-1:123456789012:function:test",
        "aws.api_gateway.api_id": "abcdef1234",
        "aws.api_gateway.stage": "test",
        "aws.api_gateway.connection_id": "L0SM9cOFvHcCIhw=",
        "aws.api_gateway.request_id": "Ti89OF32joEFbiA=",
        "aws.api_gateway.event_type": "CONNECT",
        "http.response.status_code": 200,
      },
    });
  });

  it("has the fields of a message", async () => {
    const { app, send } = makeApp();
    app.webSocket("chat", () => {});
    await send("chat", "12345");
    expect(named("process chat")).toMatchObject({
      kind: SpanKind.CONSUMER,
      attributes: {
        "faas.trigger": "other",
        "messaging.system": "aws_api_gateway",
        "messaging.operation.type": "process",
        "messaging.destination.name": "chat",
        "messaging.message.id": "Ti89OAAt3vcAAAQ=",
        "messaging.message.body.size": 5,
      },
    });
  });

  it("is recorded for a disconnect, and as $default for an unknown route key", async () => {
    const { send, disconnect } = makeApp();
    await send("made-up");
    await disconnect();
    expect(named("process $default")?.attributes["error.type"]).toBe("NOT_FOUND");
    expect(named("$disconnect")?.attributes["aws.api_gateway.close_code"]).toBe(1001);
  });

  it("has the action of a message on $default, and the action's namespaces", async () => {
    const read = (ctx: AnyContext) => ({
      name: String(ctx.body("do")),
      namespaces: ctx.body("in") as string[],
    });
    const { app, send } = makeApp({}, { actions: { names: ["move", "stop"], read } });
    app.webSocket("$default", () => {});
    await send("other", { do: "move", in: ["chess", "go"] });
    await send("other", { do: "stop", in: [] });
    expect(named("process move")?.attributes).toMatchObject({
      "messaging.destination.name": "move",
      "lift.namespace": "chess,go",
    });
    expect(named("process stop")?.attributes).not.toHaveProperty(["lift.namespace"]);
  });

  it.each([
    ["a 401 by what stands in front", "$connect", 401, "UNAUTHORIZED", SpanStatusCode.UNSET],
    ["a failure", "process fail", 500, "INTERNAL_ERROR", SpanStatusCode.ERROR],
    ["a status without an error", "process gone", 410, "410", SpanStatusCode.UNSET],
    ["the lowest status of an error", "process odd", 400, "400", SpanStatusCode.UNSET],
  ])("records %s", async (_what, name, status, type, code) => {
    const { app, connect, send } = makeApp();
    app.webSocket("fail", () => Promise.reject(new TypeError("broken")));
    app.webSocket("gone", (ctx) => ctx.status(410));
    app.webSocket("odd", (ctx) => ctx.status(400));
    await connect({ token: "bad" });
    for (const route of ["fail", "gone", "odd"]) await send(route);
    expect(named(name)).toMatchObject({
      status: { code },
      attributes: { "http.response.status_code": status, "error.type": type },
    });
  });

  it("has no type of an error after a success", async () => {
    await makeApp().connect();
    expect(named("$connect")?.attributes).not.toHaveProperty(["error.type"]);
  });

  it("records a failure's code, redacted and truncated", async () => {
    const { app, send } = makeApp();
    app.webSocket("fail", () => Promise.reject(new LiftError(`x?token=${SECRET}&${"a".repeat(200)}`)));
    await send("fail");
    expect(named("process fail")?.attributes["error.type"]).toMatch(
      /^x\?token=\[redacted\]&a{20,100}… \(\d+ characters\)$/,
    );
  });

  it("is flushed before the event ends", async () => {
    let flushed = 0;
    const flush = async () => {
      expect(named("$connect")).toBeDefined();
      flushed++;
    };
    await makeApp({ flush }).connect();
    expect(flushed).toBe(1);
  });

  it("does not affect events without an SDK", async () => {
    const app = new Lift().use(webSocketTracing());
    const event = connectEvent();
    expect(await app.webSocketHandler()(event, lambdaContext())).toEqual({ statusCode: 200 });
    expect(finished()).toEqual([]);
  });
});

describe.each([
  ["with a context manager", true],
  ["without one", false],
])("the spans below it, %s", (_what, managed) => {
  beforeEach(() => {
    if (managed) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });

  it("are one per call of the store and of the @connections API", async () => {
    const { app, connect, send, disconnect } = makeApp();
    app.webSocket("all", async (ctx: AnyContext) => {
      const ws = ctx.asWebSocket();
      ctx.set("a", 1);
      await ctx.update("b", () => 2);
      await ws.sendMessage("four");
      await ws.sendMessageTo("gone=", "four");
      await ws.broadcastMessage(["a=", "gone=", "slow="], "four");
      await ws.getConnectionInfo("a=");
      await ws.disconnect("a=");
      for await (const row of ctx.connectionStore.listByTenant("acme")) expect(row).toBeDefined();
      expect(await ctx.connectionStore.count()).toBe(1);
    });
    await connect();
    await send("all");
    await disconnect();
    const below = (name: string) => {
      const parent = named(name)?.spanContext();
      const children = finished().filter((span) => span.parentSpanContext?.spanId === parent?.spanId);
      for (const child of children) expect(child.kind).toBe(SpanKind.CLIENT);
      return children.map((child) => child.name);
    };
    expect(below("$connect")).toEqual(["ConnectionStore save"]);
    expect(below("process all")).toEqual([
      "ConnectionStore get",
      "ConnectionStore updateState",
      "@connections post",
      "@connections post",
      "@connections broadcast",
      "@connections get",
      "@connections disconnect",
      "ConnectionStore listByTenant",
      "ConnectionStore count",
      "ConnectionStore setState",
    ]);
    expect(below("$disconnect")).toEqual(["ConnectionStore get", "ConnectionStore delete"]);
    expect(named("ConnectionStore count")?.attributes).toMatchObject({ "db.operation.name": "count" });
    expect(named("@connections post")?.attributes["messaging.message.body.size"]).toBe(4);
    expect(named("@connections broadcast")?.attributes).toMatchObject({
      "messaging.message.body.size": 4,
      "messaging.batch.message_count": 3,
      "lift.send.sent": 1,
      "lift.send.gone": 1,
      "lift.send.failed": 1,
    });
  });

  it("have the number of rows of a list", async () => {
    const { app, connect, send } = makeApp();
    app.webSocket("$connect", (ctx) => void ctx.setUserId("ada"));
    app.webSocket("mine", async (ctx: AnyContext) => {
      for await (const row of ctx.connectionStore.listByUser("ada")) expect(row.userId).toBe("ada");
    });
    await connect();
    await send("mine");
    expect(named("ConnectionStore listByUser")?.attributes["db.response.returned_rows"]).toBe(1);
  });

  it("record the name of a list's failure whose code is a number", async () => {
    const listByUser = () => {
      throw new DOMException("slow", "TimeoutError");
    };
    const connectionStore = Object.assign(memoryConnectionStore(), { listByUser });
    const { app, send } = makeApp({}, { connectionStore });
    app.webSocket("mine", async (ctx: AnyContext) => {
      for await (const row of ctx.connectionStore.listByUser("ada")) expect(row).toBeUndefined();
    });
    await send("mine");
    expect(named("ConnectionStore listByUser")).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { "error.type": "TimeoutError" },
    });
  });

  it("record the kind of a failure", async () => {
    const { app, send } = makeApp();
    app.webSocket("slow", (ctx: AnyContext) =>
      ctx
        .asWebSocket()
        .sendMessageTo("slow=", "x")
        .then(() => {}),
    );
    await send("slow");
    expect(named("@connections post")).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { "error.type": "LIMIT_EXCEEDED" },
    });
  });

  it("are none for a read from memory", async () => {
    const { app, send } = makeApp({}, { connectionStore: memoryConnectionStore() });
    app.webSocket("chat", () => {});
    await send("chat");
    expect(finished().map((span) => span.name)).toEqual(["process chat"]);
  });
});

describe("the trace", () => {
  const parent = () => named("$connect")?.parentSpanContext;

  it("continues Lambda's", async () => {
    vi.stubEnv("_X_AMZN_TRACE_ID", XRAY);
    await makeApp().connect({}, { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` });
    expect(parent()).toMatchObject({ traceId: TRACE, spanId: SPAN, isRemote: true });
  });

  it.each([
    ["W3C", { traceparent: W3C, tracestate: "a=1,b=2" }],
    ["X-Ray", { "X-Amzn-Trace-Id": XRAY }],
  ])("continues the client's, in the format of %s", async (_form, headers) => {
    await makeApp().connect({}, headers);
    expect(parent()).toMatchObject({ traceId: TRACE, spanId: SPAN, isRemote: true });
  });

  it("does not continue a client's with `acceptClientContext: false`", async () => {
    await makeApp({ acceptClientContext: false }).connect({}, { traceparent: W3C });
    expect(parent()).toBeUndefined();
  });

  it("continues the active span of an instrumentation", async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const outer = tracerProvider.getTracer("outer").startSpan("outer");
    vi.stubEnv("_X_AMZN_TRACE_ID", XRAY);
    const { connect } = makeApp();
    await context.with(trace.setSpan(context.active(), outer), () => connect());
    expect(parent()?.spanId).toBe(outer.spanContext().spanId);
  });

  it.each([true, false])("is passed on in both formats (a context manager: %s)", async (managed) => {
    if (managed) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const { app, connect } = makeApp();
    let headers: object = {};
    app.webSocket("$connect", (ctx) => {
      headers = traceHeaders(ctx);
    });
    await connect({}, { traceparent: W3C, tracestate: "a=1" });
    const own = named("$connect")?.spanContext().spanId;
    expect(headers).toEqual({
      traceparent: `00-${TRACE}-${own}-01`,
      tracestate: "a=1",
      "X-Amzn-Trace-Id": XRAY.replace(SPAN, own ?? ""),
    });
  });
});

it("records no data from clients (query, token, header, message, reason) and no error messages", async () => {
  const { app, connect, send, disconnect } = makeApp();
  app.webSocket("chat", async (ctx: AnyContext) => {
    await ctx.reply({ echo: SECRET });
    ctx.set("secret", SECRET);
    throw new LiftError("MINE", { message: SECRET, cause: new Error(SECRET), details: SECRET });
  });
  await connect({ token: SECRET, Authorization: SECRET }, { Authorization: SECRET, Cookie: SECRET });
  await send("chat", { text: SECRET });
  await send(SECRET);
  await disconnect();
  expect(finished().length).toBeGreaterThan(4);
  const recorded = finished().map(({ name, attributes, events, status, links, resource }) => [
    name,
    attributes,
    events,
    status,
    links,
    resource.attributes,
  ]);
  expect(JSON.stringify(recorded)).not.toContain(SECRET);
});

describe("trace headers", () => {
  it("survive a round trip", () => {
    const hex = (length: number) =>
      fc
        .array(fc.constantFrom(..."0123456789abcdef"), { minLength: length, maxLength: length })
        .map((digits) => digits.join(""))
        .filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(hex(32), hex(16), fc.constantFrom(0, 1), (traceId, spanId, traceFlags) => {
        const headers = toHeaders({ traceId, spanId, traceFlags });
        const expected = { traceId, spanId, traceFlags, isRemote: true };
        expect(fromW3c(headers.traceparent, undefined)).toEqual(expected);
        expect(fromXRay(headers["X-Amzn-Trace-Id"])).toEqual(expected);
      }),
    );
  });

  it("that are invalid set no parent, for any text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(fromW3c(text, text)).toBeUndefined();
        expect(fromXRay(text)).toBeUndefined();
      }),
    );
  });

  it.each([
    [`ff-${W3C.slice(3)}`],
    [W3C.replace(TRACE, "0".repeat(32))],
    [W3C.replace(SPAN, "0".repeat(16))],
    [W3C.toUpperCase()],
    [W3C.slice(1)],
  ])("%s is not a traceparent", (text) => {
    expect(fromW3c(text, undefined)).toBeUndefined();
  });

  it("of X-Ray without `Parent` have no span; there are none without a span", () => {
    expect(fromXRay("Root=1-630f637c-74d9e0581d71eb9d0ca0b056")).toBeUndefined();
    expect(fromXRay(XRAY.replace("Sampled=1", "Sampled=?"))?.traceFlags).toBe(0);
    expect(toHeaders(undefined)).toEqual({});
  });

  it("of W3C may have spaces around them", () => {
    expect(fromW3c(` ${W3C} `, undefined)).toEqual(fromW3c(W3C, undefined));
  });

  it("of X-Ray may have a space before each field", () => {
    expect(fromXRay(`Self=1-1; ${XRAY.replaceAll(";", "; ")}`)).toEqual(fromXRay(XRAY));
  });

  it("keep a tracestate of 512 characters, and drop a longer one", () => {
    const longest = `a=${"x".repeat(253)},b=${"x".repeat(254)}`;
    expect(longest).toHaveLength(512);
    expect(fromW3c(W3C, longest)?.traceState?.serialize()).toBe(longest);
    expect(fromW3c(W3C, `${longest}x`)?.traceState).toBeUndefined();
  });
});

it.each([{ tracerProvider: {} }, { flush: true }, { acceptClientContext: "no" }, { spans: 1 }])(
  "rejects %o",
  (options) => {
    expect(() => webSocketTracing(options as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  },
);
