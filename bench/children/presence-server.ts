/** The server of `disconnect`: a Streamer with rooms that have presence, all in memory, on the gateway. */
import { createGateway } from "lift-ws/gateway";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { createStreamer } from "lift-ws/streamer";
import { answer } from "../lib/control.ts";
import { TurnWatch } from "../lib/turns.ts";
import { UNLIMITED } from "../lib/unlimited.ts";

const everyone = () => true;

const streamer = createStreamer({
  channels: { room: { subscribe: everyone, publish: everyone, presence: true } },
  store: memoryChannelStore(),
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
  middleware: [
    async (ctx, next) => {
      // Each connection has its own user.
      if (ctx.event.requestContext.eventType === "CONNECT") ctx.setUserId(ctx.connectionId);
      await next();
    },
  ],
});

const gateway = createGateway({
  handler: (event, context) => handler(event, context),
  everySecond: () => streamer.app.tick().then(() => {}),
  limits: UNLIMITED,
});
const handler = streamer.app.webSocketHandler({ connections: gateway });

const turns = new TurnWatch();
answer("watch", () => turns.start());
/** CPU time of the longest turn of the event loop since `watch`, in ms. */
answer("stall", () => turns.longestMs);

/** Number of members in all rooms. */
answer("members", async (rooms: number) => {
  let members = 0;
  for (let room = 0; room < rooms; room++) members += await streamer.count(`room:${room}`);
  return members;
});

await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
