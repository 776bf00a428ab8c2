import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, it, vi } from "vitest";
import { type AnyContext, Lift, LiftError, type LiftOptions } from "../../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { emfCollector } from "./emf.ts";
import {
  type EventMetrics,
  type MetricsCollector,
  type WebSocketMetricsOptions,
  webSocketMetrics,
} from "./index.ts";
import { prometheusCollector } from "./prometheus.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function makeApp(
  collector: MetricsCollector,
  options: Partial<WebSocketMetricsOptions> = {},
  lift: LiftOptions<object> = {},
) {
  let now = 0;
  const connections = recordingConnections().gone("gone=").throttled("slow=");
  const app = new Lift<object>({ connections, logger: silent, ...lift });
  app.use((ctx, next) => {
    now += 12.5;
    if (ctx.query("token") === "bad") throw new LiftError("UNAUTHORIZED");
    return next();
  });
  app.use(webSocketMetrics({ collector, now: () => now, ...options }));
  app.webSocket("echo", (ctx: AnyContext) => ctx.reply({ text: "grüße" }).then(() => {}));
  app.webSocket("fan", async (ctx: AnyContext) => {
    await ctx.asWebSocket().broadcastMessage(["a=", "gone=", "slow=", "b="], "four");
    await ctx.asWebSocket().sendMessageTo("gone=", "four");
    await ctx.asWebSocket().sendMessageTo("slow=", "four");
  });
  app.webSocket("fail", () => Promise.reject(new TypeError("broken")));
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    connect: (query: { [name: string]: string } = {}) => handler(connectEvent({ query }), lambda),
    send: (route: string, body: unknown = {}) => handler(messageEvent(route, body), lambda),
    disconnect: (code = 1001) => handler(disconnectEvent({ code }), lambda),
  };
}

function recorder() {
  const recorded: EventMetrics[] = [];
  return { recorded, record: (metrics: EventMetrics) => void recorded.push(metrics) };
}

const nothingSent = { sent: 0, gone: 0, failed: 0, sentBytes: 0 };

describe("a measurement", () => {
  it("does not count a 401 of an earlier middleware as a success", async () => {
    const collector = recorder();
    const { connect } = makeApp(collector);
    await connect({ token: "bad" });
    await connect();
    const common = { event: "CONNECT", route: "$connect", stage: "test", durationMs: 12.5, labels: {} };
    expect(collector.recorded).toEqual([
      { ...common, ...nothingSent, status: "4xx" },
      { ...common, ...nothingSent, status: "2xx" },
    ]);
  });

  it("has a message's size and the event's sends", async () => {
    const collector = recorder();
    const { send } = makeApp(collector);
    await send("echo", "grüße");
    expect(collector.recorded).toMatchObject([
      { event: "MESSAGE", route: "echo", status: "2xx", messageBytes: 7, sent: 1, sentBytes: 18 },
    ]);
  });

  it("has the action of a message on $default, and the action's namespaces", async () => {
    const collector = recorder();
    const read = (ctx: AnyContext) => ({ name: "move", namespaces: ctx.body("in") as string[] });
    const { send } = makeApp(collector, {}, { actions: { names: ["move"], read } });
    await send("other", { in: ["chess", "go"] });
    await send("other", { in: [] });
    expect(collector.recorded).toMatchObject([{ route: "move", namespace: "chess,go" }, { route: "move" }]);
    expect(collector.recorded[1]).not.toHaveProperty("namespace");
  });

  it("counts each recipient, and the error frame", async () => {
    const collector = recorder();
    const { send } = makeApp(collector);
    await send("fan");
    expect(collector.recorded).toMatchObject([{ status: "5xx", sent: 3, gone: 2, failed: 2 }]);
  });

  it.each([
    [999, "other"],
    [1000, "1000"],
    [1006, "1006"],
    [1015, "1015"],
    [1016, "other"],
    [2999, "other"],
    [3000, "3xxx"],
    [4999, "4xxx"],
    [5000, "other"],
    [-1, "other"],
  ])("labels the close code %i as %s", async (code, closeCode) => {
    const collector = recorder();
    await makeApp(collector).disconnect(code);
    expect(collector.recorded).toMatchObject([{ event: "DISCONNECT", status: "2xx", closeCode }]);
  });

  it("has registered routes only", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (route) => {
        const collector = recorder();
        await makeApp(collector).send(route);
        expect(["$default", "echo", "fan", "fail"]).toContain(collector.recorded[0]?.route);
      }),
    );
  });

  it("has no user and no tenant by default", async () => {
    const collector = recorder();
    const labels = { tenant: (ctx: AnyContext) => ctx.query("tenant"), long: () => "x".repeat(2_000) };
    const { connect } = makeApp(collector, { labels });
    await connect({ tenant: "acme" });
    await connect();
    expect(collector.recorded.map((metrics) => metrics.labels.tenant)).toEqual(["acme", "none"]);
    expect(collector.recorded[0]?.labels.long).toHaveLength(250);
  });

  it("is flushed before the event ends", async () => {
    const order: string[] = [];
    const collector = {
      record: () => void order.push("record"),
      flush: () =>
        new Promise<void>((resolve) =>
          setImmediate(() => {
            order.push("flushed");
            resolve();
          }),
        ),
    };
    await makeApp(collector).connect();
    order.push("result");
    expect(order).toEqual(["record", "flushed", "result"]);
  });

  it.each<[string, MetricsCollector]>([
    [
      "record throws",
      {
        record: () => {
          throw new Error("full");
        },
      },
    ],
    ["flush rejects", { record: () => {}, flush: () => Promise.reject(new Error("unreachable")) }],
  ])("does not fail an event when %s", async (_what, collector) => {
    expect((await makeApp(collector).connect()).statusCode).toBe(200);
  });

  it.each<[string, object]>([
    ["no collector", {}],
    ["a collector that is none", { collector: {} }],
    ["an unknown option", { collector: recorder(), dimensions: {} }],
    ["a label that CloudWatch would mistake", { collector: recorder(), labels: { Route: () => "x" } }],
    ["a label that is not a function", { collector: recorder(), labels: { tenant: "acme" } }],
    ["labels that are null", { collector: recorder(), labels: null }],
    ["labels that are text", { collector: recorder(), labels: "tenant" }],
    ["a label with a hyphen", { collector: recorder(), labels: { "a-b": () => "x" } }],
    ["a label that begins with _", { collector: recorder(), labels: { _a: () => "x" } }],
    ["a label of 64 characters", { collector: recorder(), labels: { ["a".repeat(64)]: () => "x" } }],
  ])("rejects %s", (_what, options) => {
    expect(() => webSocketMetrics(options as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});

type Directive = { Namespace: string; Dimensions: string[][]; Metrics: { Name: string; Unit: string }[] };
type Emf = { _aws: { Timestamp: number; CloudWatchMetrics: Directive[] } } & { [name: string]: unknown };

describe("the embedded metric format", () => {
  function makeEmf(options: Partial<WebSocketMetricsOptions> = {}) {
    const lines: Emf[] = [];
    const write = (line: string) => void lines.push(JSON.parse(line) as Emf);
    return { lines, ...makeApp(emfCollector({ write, now: () => 1_700_000_000_000 }), options) };
  }

  it("is a line per event that CloudWatch understands", async () => {
    const { lines, connect, send, disconnect } = makeEmf({ labels: { tenant: () => "acme" } });
    await connect();
    await send("fan");
    await disconnect();
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      expect(line._aws.Timestamp).toBe(1_700_000_000_000);
      for (const { Namespace, Dimensions, Metrics } of line._aws.CloudWatchMetrics) {
        expect(Namespace).toBe("LiftWebSocket");
        expect(Metrics.length).toBeLessThanOrEqual(100);
        for (const { Name, Unit } of Metrics) {
          expect(line[Name]).toBeTypeOf("number");
          expect(["Count", "Milliseconds", "Bytes"]).toContain(Unit);
        }
        for (const name of Dimensions.flat()) expect(line[name]).toMatch(/^.+$/);
        expect(Math.max(...Dimensions.map((set) => set.length))).toBeLessThanOrEqual(30);
      }
    }
  });

  const measured: EventMetrics = {
    ...{ event: "MESSAGE", route: "chat", status: "2xx", stage: "test", durationMs: 1.5 },
    ...{ sent: 0, gone: 0, failed: 0, sentBytes: 0, labels: {} },
  };
  const record = (metrics: Partial<EventMetrics>) => {
    const write = vi.fn<(line: string) => void>();
    emfCollector({ write, now: () => 5 }).record({ ...measured, ...metrics });
    return JSON.parse(write.mock.calls[0]![0]) as Emf;
  };

  it("has every metric with its unit", () => {
    const line = record({
      ...{ messageBytes: 7, sent: 1, gone: 2, failed: 3, sentBytes: 4, namespace: "room" },
      labels: { tenant: "acme" },
    });
    expect(line).toEqual({
      _aws: {
        Timestamp: 5,
        CloudWatchMetrics: [
          {
            Namespace: "LiftWebSocket",
            Dimensions: [
              ["Stage"],
              ["Stage", "Event", "Route", "Status"],
              ["Stage", "Event", "Route", "Status", "tenant"],
            ],
            Metrics: [
              { Name: "Events", Unit: "Count" },
              { Name: "Refused", Unit: "Count" },
              { Name: "Failed", Unit: "Count" },
              { Name: "Duration", Unit: "Milliseconds" },
              { Name: "MessageBytes", Unit: "Bytes" },
              { Name: "Sends", Unit: "Count" },
              { Name: "Gone", Unit: "Count" },
              { Name: "FailedSends", Unit: "Count" },
              { Name: "SentBytes", Unit: "Bytes" },
            ],
          },
        ],
      },
      ...{ Stage: "test", Event: "MESSAGE", Route: "chat", Status: "2xx", ChannelNamespace: "room" },
      ...{ Events: 1, Refused: 0, Failed: 0, Duration: 1.5, MessageBytes: 7 },
      ...{ Sends: 1, Gone: 2, FailedSends: 3, SentBytes: 4, tenant: "acme" },
    });
  });

  it("has sends also when all were gone, or all failed", () => {
    expect(record({ gone: 1 })).toMatchObject({ Sends: 0, Gone: 1 });
    expect(record({ failed: 1 })).toMatchObject({ Sends: 0, FailedSends: 1 });
    expect(record({})).not.toHaveProperty("Gone");
  });

  it("has connects only of accepted connections", () => {
    expect(record({ event: "CONNECT" })).toMatchObject({ Connects: 1 });
    expect(record({ event: "CONNECT", status: "4xx" })).not.toHaveProperty("Connects");
    expect(record({})).not.toHaveProperty("Connects");
  });

  it.each(["", "a b", "a!", "x".repeat(256), 5])("rejects the namespace %j", (namespace) => {
    expect(() => emfCollector({ namespace: namespace as string })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it("has a refused connect by stage, and by event, route and status", async () => {
    const { lines, connect } = makeEmf();
    await connect({ token: "bad" });
    expect(lines[0]?._aws.CloudWatchMetrics[0]?.Dimensions).toEqual([
      ["Stage"],
      ["Stage", "Event", "Route", "Status"],
    ]);
    expect(lines[0]).toMatchObject({
      Stage: "test",
      Event: "CONNECT",
      Route: "$connect",
      Status: "4xx",
      Events: 1,
      Refused: 1,
      Failed: 0,
      Duration: 12.5,
    });
    expect(lines[0]).not.toHaveProperty("Connects");
  });

  it("has disconnects by close code", async () => {
    const { lines, disconnect } = makeEmf();
    await disconnect(4001);
    expect(lines[0]).toMatchObject({ Disconnects: 1, CloseCode: "4xxx" });
    expect(lines[0]?._aws.CloudWatchMetrics[1]).toEqual({
      Namespace: "LiftWebSocket",
      Dimensions: [["Stage"], ["Stage", "CloseCode"]],
      Metrics: [{ Name: "Disconnects", Unit: "Count" }],
    });
  });

  it("has sends when something was sent, and labels on request", async () => {
    const { lines, connect, send } = makeEmf({ labels: { tenant: () => "acme" } });
    await connect();
    await send("fan");
    expect(lines[0]).not.toHaveProperty("Sends");
    expect(lines[0]).toMatchObject({ Connects: 1, tenant: "acme" });
    expect(lines[1]).toMatchObject({ Failed: 1, Sends: 3, Gone: 2, FailedSends: 2, MessageBytes: 2 });
    expect(lines[1]?._aws.CloudWatchMetrics[0]?.Dimensions[2]).toContain("tenant");
  });

  it.each(["Stage", "Event", "Route", "Status", "CloseCode", "Duration", "Disconnects", "_aws"])(
    "rejects a label that would overwrite its own: %s",
    (name) => {
      const write = vi.fn();
      const metrics: EventMetrics = {
        ...{ event: "DISCONNECT", route: "$disconnect", status: "2xx", stage: "test", durationMs: 1 },
        ...{ sent: 0, gone: 0, failed: 0, sentBytes: 0, closeCode: "1000", labels: { [name]: "x" } },
      };
      expect(() => emfCollector({ write }).record(metrics)).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
      );
      expect(write).not.toHaveBeenCalled();
    },
  );

  it("is written to the log by default, with the option `namespace`", async () => {
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    await makeApp(emfCollector({ namespace: "My/App" })).connect();
    expect(write.mock.calls[0]?.[0]).toMatch(/^\{.*"Namespace":"My\/App".*\}\n$/);
    expect(() => emfCollector({ namespace: "" })).toThrow(/namespace/);
  });
});

describe("the Prometheus collector", () => {
  it("counts events, latency, sizes, connects, disconnects and sends", async () => {
    const collector = prometheusCollector();
    const { connect, send, disconnect } = makeApp(collector);
    await connect();
    await connect({ token: "bad" });
    await send("echo", "1234567");
    await send("fan");
    await disconnect();
    const page = await collector.register.metrics();
    for (const line of [
      'lift_websocket_events_total{event="CONNECT",route="$connect",status="2xx"} 1',
      'lift_websocket_events_total{event="CONNECT",route="$connect",status="4xx"} 1',
      'lift_websocket_events_total{event="MESSAGE",route="fan",status="5xx"} 1',
      'lift_websocket_event_duration_seconds_sum{event="MESSAGE",route="echo"} 0.0125',
      'lift_websocket_message_bytes_bucket{le="64",route="echo"} 1',
      "lift_websocket_connects_total 1",
      'lift_websocket_disconnects_total{code="1001"} 1',
      'lift_websocket_sends_total{outcome="sent"} 4',
      'lift_websocket_sends_total{outcome="gone"} 2',
      'lift_websocket_sends_total{outcome="failed"} 2',
    ]) {
      expect(page).toContain(`${line}\n`);
    }
  });

  it("counts the bytes that were sent", async () => {
    const collector = prometheusCollector();
    const { send } = makeApp(collector);
    await send("echo", "12345");
    await send("echo", "12345");
    // The reply is `{"text":"grüße"}`.
    expect(await collector.register.metrics()).toContain("lift_websocket_sent_bytes_total 36\n");
  });

  it("has the labels that both options list, with the options `register` and `prefix`", async () => {
    const register = new Registry();
    const collector = prometheusCollector({ register, prefix: "chat_", labels: ["tenant", "other"] });
    const { connect } = makeApp(collector, { labels: { tenant: () => "acme", user: () => "ada" } });
    await connect();
    expect(await register.metrics()).toContain('chat_connects_total{tenant="acme",other="none"} 1');
  });

  it("has no sends, sizes and disconnects of events without them", async () => {
    const collector = prometheusCollector();
    await makeApp(collector).connect({ token: "bad" });
    const page = await collector.register.metrics();
    for (const name of ["sends_total{", "message_bytes_count", "disconnects_total{", "connects_total 1"]) {
      expect(page).not.toContain(`lift_websocket_${name}`);
    }
    expect(page).toContain("lift_websocket_sent_bytes_total 0\n");
  });

  it("has no time series of sends for a label without sends", async () => {
    const collector = prometheusCollector({ labels: ["tenant"] });
    await makeApp(collector, { labels: { tenant: () => "acme" } }).connect();
    expect(await collector.register.metrics()).not.toMatch(/^lift_websocket_sen\w+\{/m);
  });

  it("has buckets from 1 ms to 29 s and from 64 B to 128 KB, or the given ones", async () => {
    const bounds = async (collector: ReturnType<typeof prometheusCollector>, name: string) => {
      await makeApp(collector).send("echo");
      const page = await collector.register.metrics();
      return [...page.matchAll(new RegExp(`${name}_bucket\\{le="([^"]+)"`, "g"))].map(([, le]) => le);
    };
    const [durations, sizes] = ["event_duration_seconds", "message_bytes"] as const;
    expect(await bounds(prometheusCollector(), durations)).toEqual([
      "0.001",
      "0.0025",
      "0.005",
      "0.01",
      "0.025",
      "0.05",
      "0.1",
      "0.25",
      "0.5",
      "1",
      "5",
      "29",
      "+Inf",
    ]);
    expect(await bounds(prometheusCollector(), sizes)).toEqual([
      "64",
      "256",
      "1024",
      "4096",
      "8192",
      "16384",
      "32768",
      "65536",
      "131072",
      "+Inf",
    ]);
    expect(await bounds(prometheusCollector({ durationBuckets: [0.5] }), durations)).toEqual(["0.5", "+Inf"]);
    expect(await bounds(prometheusCollector({ sizeBuckets: [1, 2] }), sizes)).toEqual(["1", "2", "+Inf"]);
  });

  it.each([{ prefix: "_a1_" }, { labels: ["_a", "B1"] }])("accepts %o", (options) => {
    expect(() => prometheusCollector(options)).not.toThrow();
  });

  it("sets no timer", async () => {
    vi.useFakeTimers();
    await makeApp(prometheusCollector()).connect();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it.each([
    ...["event", "route", "status", "code", "outcome", "le"].map((name) => ({ labels: ["tenant", name] })),
    { labels: ["tenant", "tenant"] },
    { labels: ["a-b"] },
    { labels: ["__name"] },
    { labels: ["a b"] },
    { labels: ["1a"] },
    { labels: [5] },
    { prefix: "my-app" },
    { prefix: "1a" },
    { prefix: "" },
    { prefix: 5 },
    { durationBuckets: [0, 1] },
    { durationBuckets: [2, 1] },
    { durationBuckets: 5 },
    { durationBuckets: [1, 1] },
    { sizeBuckets: [] },
    { labels: "tenant" },
    { register: {} },
    { buckets: [] },
  ])("rejects %o", (options) => {
    expect(() => prometheusCollector(options as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});
