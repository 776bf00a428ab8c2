// Corrections of the wall clock must not change sockets, rows, members or streams.
import { expect, it, onTestFinished, vi } from "vitest";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { defaultRateLimits, webSocketRateLimit } from "../../src/lift/middleware/rate-limit/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";
import { connect } from "../conformance/harness.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const CLIENTS = 20;
const open = { subscribe: () => true, publish: () => true };

/** Uses the default clocks. No timer runs by itself. */
async function startProcess() {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const streamer = createStreamer({
    channels: { room: { ...open, presence: true, live: true } },
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    schedule: memorySchedule(),
    heartbeatMs: 30_000,
    auth: webSocketAuth({ validateToken: (token) => token }),
    middleware: [
      webSocketRateLimit({ ...defaultRateLimits, connects: { by: "ip", limit: 100, windowMs: MINUTE } }),
    ],
    logger: jsonLogger({ level: "error" }),
  });
  const gateway: Gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  return { streamer, gateway };
}

async function connectAs(gateway: Gateway, name: string) {
  const client = await connect(gateway, { path: `?token=${name}` });
  let asked = 0;
  const until = async (isIt: (message: { [field: string]: unknown }) => boolean) => {
    for (;;) {
      const message = JSON.parse(await client.messages.next());
      if (isIt(message)) return message;
    }
  };
  return {
    until,
    ask: (action: string, payload: object = {}) => {
      const id = `${name}-${++asked}`;
      client.send(JSON.stringify({ id, action, payload }));
      return until(({ request_id }) => request_id === id);
    },
  };
}

it.each([
  ["a minute and a second ahead", 61_000, 0],
  ["an hour ahead", HOUR, 0],
  ["an hour back", -HOUR, 0],
  ["an hour ahead, when connections are 80 minutes old", HOUR, 80 * MINUTE],
])("keeps all connections when its clock is set %s", async (_, jump, ageMs) => {
  const { streamer, gateway } = await startProcess();
  const clients = [];
  for (let n = 0; n < CLIENTS; n++) clients.push(await connectAs(gateway, `user-${n}`));
  for (const one of clients) await one.ask("subscribe", { channels: [{ channel: "room:lobby" }] });
  await clients[0]!.ask("stream_start", { channel: "room:lobby" });
  vi.advanceTimersByTime(ageMs);
  for (const one of clients) await one.ask("heartbeat");
  vi.setSystemTime(Date.now() + jump);
  // Two heartbeat intervals, with a tick every second.
  for (let second = 0; second < 60; second++) {
    await streamer.app.tick();
    if (second % 25 === 10)
      for (const one of clients) expect(await one.ask("heartbeat")).toMatchObject({ success: true });
    vi.advanceTimersByTime(1_000);
  }
  expect([gateway.size, await streamer.count("room:lobby")]).toEqual([CLIENTS, CLIENTS]);
  expect(await streamer.stream("room:lobby")).toMatchObject({ user: "user-0" });
  expect(await clients[1]!.ask("publish", { channel: "room:lobby", data: jump })).toMatchObject({
    success: true,
  });
  for (const one of clients)
    expect(await one.until(({ type }) => type === "message")).toMatchObject({ data: jump });
  await connectAs(gateway, "late");
});
