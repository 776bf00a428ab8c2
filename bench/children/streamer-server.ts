/** The Streamer side of `channels` and `recover`: history in SQLite, on the gateway. */
import { createGateway } from "lift-ws/gateway";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { createStreamer } from "lift-ws/streamer";
import { UNLIMITED } from "../lib/unlimited.ts";

const [, , path = ""] = process.argv;
const everyone = () => true;

const streamer = createStreamer({
  channels: { room: { subscribe: everyone, publish: everyone } },
  store: sqliteChannelStore({ path }),
  connectionStore: memoryConnectionStore(),
});

const gateway = createGateway({
  handler: (event, context) => handler(event, context),
  limits: UNLIMITED,
});
const handler = streamer.app.webSocketHandler({ connections: gateway });

await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
