/** The server of `promises`: a Streamer on SQLite with the gateway's default limits, which loses some messages. */
import type { Connections } from "lift-ws/apigw";
import { createGateway } from "lift-ws/gateway";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { createStreamer } from "lift-ws/streamer";
import { answer } from "../lib/control.ts";

const [, , path = "", lossRate = "0"] = process.argv;
const everyone = () => true;
/** Ids of the open connections. */
const open = new Set<string>();
let lost = 0;

const streamer = createStreamer({
  channels: { room: { subscribe: everyone, publish: everyone } },
  store: sqliteChannelStore({ path }),
  connectionStore: memoryConnectionStore(),
});

const gateway = createGateway({
  handler: (event, context) => {
    const { eventType, connectionId } = event.requestContext;
    if (eventType === "CONNECT") open.add(connectionId);
    if (eventType === "DISCONNECT") open.delete(connectionId);
    return handler(event, context);
  },
});
const handler = streamer.app.webSocketHandler({ connections: losing(gateway, Number(lossRate)) });

/** Messages to members that were lost. */
answer("lost", () => lost);
/** Closes connections, as a moderator or a shutdown does. */
answer("disconnect", async (count: number) => {
  const ids = [...open];
  const chosen = Array.from({ length: count }, () => ids[Math.floor(Math.random() * ids.length)]!);
  await Promise.all(chosen.map((id) => gateway.disconnect(id)));
});

/** Accepts all messages to members, and sends some to nobody. */
function losing(connections: Connections, rate: number): Connections {
  return {
    post: (...given) => connections.post(...given),
    get: (...given) => connections.get(...given),
    disconnect: (...given) => connections.disconnect(...given),
    broadcast: async (ids, data, options) => {
      const kept: string[] = [];
      let dropped = 0;
      for await (const id of ids) {
        if (Math.random() < rate) dropped++;
        else kept.push(id);
      }
      lost += dropped;
      const report = await connections.broadcast(kept, data, options);
      return { ...report, sent: report.sent + dropped };
    },
  };
}

await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
