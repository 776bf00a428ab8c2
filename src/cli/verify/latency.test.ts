import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { createGateway } from "../../gateway/index.ts";
import { jsonLogger } from "../../lift/index.ts";
import { webSocketAuth } from "../../lift/middleware/auth/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../store/memory/index.ts";
import { createStreamer } from "../../streamer/index.ts";
import { measureApi, measureStreamer, percentile } from "./latency.ts";
import { Meter } from "./probe.ts";
import { ANSWER_MS } from "./time-limit.ts";

it("rejects when the Streamer refuses a message", async () => {
  const streamer = createStreamer({
    channels: { room: { subscribe: () => true } },
    schedule: memorySchedule(),
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    auth: webSocketAuth({ validateToken: (token) => ({ userId: token }) }),
    logger: jsonLogger({ level: "error" }),
  });
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  await expect(measureStreamer(gateway.url, "ada", new AbortController().signal)).rejects.toMatchObject({
    code: "FORBIDDEN",
  });
});

it.each([
  ["an API", (url: string, signal: AbortSignal) => measureApi(new URL(url), new Meter(), signal)],
  ["a Streamer", (url: string, signal: AbortSignal) => measureStreamer(url, "ada", signal)],
])("rejects when %s accepts connections and never answers", async (_, measure) => {
  const server = createServer((socket) => onTestFinished(() => void socket.destroy())).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const measured = measure(url, new AbortController().signal);
  const failed = expect(measured).rejects.toThrow("no answer in 45 s");
  await once(server, "connection");
  vi.advanceTimersByTime(ANSWER_MS);
  await failed;
});

it("finds percentiles by the nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)]).toEqual([50, 99, 7]);
});
