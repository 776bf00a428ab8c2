import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OPEN, type SimulatedClient, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { type AnyContext, jsonLogger } from "../../lift/index.ts";
import { webSocketLogger } from "../../lift/middleware/logger/index.ts";
import { emfCollector, webSocketMetrics } from "../../lift/middleware/metrics/index.ts";
import { type RateLimitOptions, webSocketRateLimit } from "../../lift/middleware/rate-limit/index.ts";
import { webSocketTracing } from "../../lift/middleware/tracing/index.ts";
import { connectEvent, lambdaContext } from "../../lift/testing/index.ts";
import { createActions } from "./message-action.ts";

const ROOM = "room:lobby";
const ONE = { by: "connection", limit: 1, windowMs: 60_000 } as const;
const channels = { room: { ...OPEN, presence: true }, flash: { ...OPEN, delivery: "at-most-once" } } as const;

function limited(routes: NonNullable<RateLimitOptions["routes"]>) {
  return simulateStreamer({ channels, middleware: [webSocketRateLimit({ routes, now: () => START })] });
}

const codeOf = ({ error }: { error?: { code: string } }) => error?.code;
const publish = async (client: SimulatedClient, channel = ROOM) =>
  codeOf(await client.ask("publish", { channel, data: 1 }));

async function publishInChunks(client: SimulatedClient): Promise<unknown> {
  const text = JSON.stringify({ id: "p", action: "publish", payload: { channel: ROOM, data: 1 } });
  const message = Number(client.received().length + 1);
  await client.send({
    id: "p",
    action: "part",
    payload: { message, index: 0, count: 2, text: text.slice(0, 9) },
  });
  const [answer] = await client.send({
    id: "p",
    action: "part",
    payload: { message, index: 1, count: 2, text: text.slice(9) },
  });
  return codeOf(answer);
}

describe("a rate limit for an action", () => {
  it("counts only that action", async () => {
    const { client } = limited({ publish: ONE });
    const ada = await client("ada-1");
    expect([await publish(ada), await publish(ada), await publish(ada, "flash:a")]).toEqual([
      undefined,
      "RATE_LIMITED",
      "RATE_LIMITED",
    ]);
    expect(codeOf(await ada.ask("subscribe", { channels: [{ channel: ROOM }] }))).toBeUndefined();
    expect(codeOf(await ada.ask("heartbeat", {}))).toBeUndefined();
  });

  it("counts its legacy form and its chunked form", async () => {
    const { client } = limited({ publish: { ...ONE, limit: 2 }, set_presence: ONE });
    const ada = await client("ada-1");
    const legacy = (type: string) => ada.send({ action: "message", type, data: { channel: ROOM } });
    expect(codeOf((await legacy("chat"))[0])).toBeUndefined();
    expect(await publishInChunks(ada)).toBeUndefined();
    expect(await publishInChunks(ada)).toBe("RATE_LIMITED");
    expect(codeOf((await legacy("chat"))[0])).toBe("RATE_LIMITED");
    expect(codeOf((await legacy("presence"))[0])).toBe("UNAUTHORIZED");
    expect(codeOf((await legacy("presence"))[0])).toBe("RATE_LIMITED");
  });

  it("counts a single namespace", async () => {
    const { client } = limited({ "publish:room": ONE, "subscribe:room": ONE });
    const ada = await client("ada-1");
    expect([await publish(ada), await publish(ada), await publish(ada, "flash:a")]).toEqual([
      undefined,
      "RATE_LIMITED",
      undefined,
    ]);
    const both = { channels: [{ channel: "flash:a" }, { channel: ROOM }] };
    expect(codeOf(await ada.ask("subscribe", both))).toBeUndefined();
    expect(codeOf(await ada.ask("subscribe", both))).toBe("RATE_LIMITED");
  });

  it("counts all actions with the key $default", async () => {
    const { client } = limited({ $default: ONE });
    const ada = await client("ada-1");
    expect([await publish(ada), codeOf(await ada.ask("heartbeat", {}))]).toEqual([undefined, "RATE_LIMITED"]);
  });

  it.each(["publsh", "publish:rom", "message:nobody"])(
    "is rejected for an unknown action: %s",
    async (key) => {
      const { streamer } = limited({ [key]: ONE });
      const handled = streamer.app.webSocketHandler()(connectEvent(), lambdaContext());
      await expect(handled).rejects.toMatchObject({ code: "INVALID_OPTION" });
    },
  );
});

describe("metrics, logs and traces of messages", () => {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });

  async function observed(play: (client: SimulatedClient) => Promise<unknown>) {
    exporter.reset();
    const emf: string[] = [];
    const lines: string[] = [];
    const { client } = simulateStreamer({
      channels,
      logger: jsonLogger({ level: "info", write: (_level, line) => lines.push(line) }),
      middleware: [
        webSocketMetrics({ collector: emfCollector({ write: (line) => emf.push(line) }) }),
        webSocketTracing({ tracerProvider }),
        webSocketLogger(),
      ],
    });
    await play(await client("ada-1"));
    const [metrics, line] = [emf, lines].map((all) => JSON.parse(all.at(-1)!));
    const span = exporter.getFinishedSpans().findLast(({ attributes }) => "faas.trigger" in attributes)!;
    return { metrics, line, span };
  }

  it.each([
    ["in one frame", publish],
    ["in chunks", publishInChunks],
    [
      "in the legacy form",
      (client: SimulatedClient) => client.send({ action: "message", type: "chat", data: { channel: ROOM } }),
    ],
  ])("name the action and the namespace of a message %s", async (_how, play) => {
    const { metrics, line, span } = await observed(play);
    expect(metrics).toMatchObject({ Route: "publish", ChannelNamespace: "room" });
    expect(line).toMatchObject({
      routeKey: "$default",
      action: "publish",
      namespace: "room",
      message: "MESSAGE",
    });
    expect(span).toMatchObject({
      name: "process publish",
      attributes: {
        "aws.api_gateway.route": "$default",
        "messaging.destination.name": "publish",
        "lift.namespace": "room",
      },
    });
  });

  it.each<[string, unknown]>([
    ["an unknown action", { action: "made-up", payload: { channel: ROOM } }],
    ["a text that is not JSON", "{"],
    ["a message without an action", {}],
  ])("name $default for %s", async (_what, message) => {
    const { metrics, line, span } = await observed((client) => client.send(message));
    expect(metrics).toMatchObject({ Route: "$default" });
    expect(line).not.toHaveProperty("action");
    expect(span.name).toBe("process $default");
  });

  it("name only configured namespaces", async () => {
    const { metrics } = await observed((client) => publish(client, "made-up:lobby"));
    expect(metrics).toMatchObject({ Route: "publish" });
    expect(metrics).not.toHaveProperty("ChannelNamespace");
  });
});

it("reads a known action or none from any message", () => {
  const actions = createActions(new Map([["room", {}]]), new Map([["report", {}]]));
  const channel = fc.oneof(
    fc.constantFrom("room:a", "other:a", "room"),
    fc.json().map((text) => JSON.parse(text)),
  );
  const body = fc.record({
    action: fc.oneof(
      fc.constantFrom("publish", "message", "subscribe", "report", "constructor", "__proto__"),
      fc.anything(),
    ),
    type: fc.oneof(fc.constantFrom("chat", "presence"), fc.anything()),
    payload: fc.oneof(fc.record({ channel, channels: fc.array(channel) }), fc.anything()),
    data: fc.oneof(fc.record({ channel }), fc.anything()),
  });
  fc.assert(
    fc.property(body, (fields) => {
      const ctx = { body: (name: keyof typeof fields) => fields[name] } as unknown as AnyContext;
      const action = actions.read(ctx);
      if (action === undefined) return;
      expect(actions.names).toContain(action.name);
      expect([[], ["room"]]).toContainEqual(action.namespaces);
    }),
    { seed: 20_261_128, numRuns: 300 },
  );
});
