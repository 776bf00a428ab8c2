/** The server of `requests`: long requests in SQLite, on the gateway. */
import { setTimeout as sleep } from "node:timers/promises";
import { createGateway } from "lift-ws/gateway";
import { webSocketAuth } from "lift-ws/middleware/auth";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { createStreamer } from "lift-ws/streamer";
import { answer } from "../lib/control.ts";
import { UNLIMITED } from "../lib/unlimited.ts";

const [, , path = ""] = process.argv;
const everyone = () => true;
const long = { estimatedMs: 60_000 };
const started: number[] = [];

const streamer = createStreamer({
  // Anonymous clients cannot set `startAt`.
  auth: webSocketAuth({ validateToken: async (userId) => ({ userId }) }),
  channels: { room: { subscribe: everyone, publish: everyone } },
  store: sqliteChannelStore({ path }),
  connectionStore: memoryConnectionStore(),
  requests: { workers: 200, limits: { user: 1_000_000, tenant: 1_000_000 } },
})
  .request("noop", long, () => null)
  // The time from the client's call to the handler's start, by the wall clock of one machine.
  .request(
    "timed",
    long,
    (input) => void started.push(performance.timeOrigin + performance.now() - Number(input)),
  )
  .request("reports", long, async (input, { progress }) => {
    const { ms, perSecond } = input as { readonly ms: number; readonly perSecond: number };
    for (let n = 0; n < (ms / 1_000) * perSecond; n++) {
      progress((n / perSecond) * 10, "Working");
      await sleep(1_000 / perSecond);
    }
  })
  .request("tokens", long, async (input, { output }) => {
    const { count, perSecond } = input as { readonly count: number; readonly perSecond: number };
    const start = performance.now();
    for (let n = 0; n < count; n++) {
      // The number of the token, and when it was written.
      await output.write(`${n}@${(performance.timeOrigin + performance.now()).toFixed(1)} `);
      const wait = start + ((n + 1) / perSecond) * 1_000 - performance.now();
      if (wait > 0) await sleep(wait);
    }
  });

const gateway = createGateway({
  handler: (event, context) => handler(event, context),
  limits: UNLIMITED,
});
const handler = streamer.app.webSocketHandler({ connections: gateway });

/** Takes the samples once there are `count`. */
answer("started", async (count: number) => {
  while (started.length < count) await sleep(10);
  return started.splice(0);
});
await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
