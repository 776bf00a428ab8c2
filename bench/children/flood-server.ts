/** The server of `flood`: a Streamer with the demo's rate limits and the gateway's default limits. */
import { jsonLogger } from "lift-ws";
import { createGateway } from "lift-ws/gateway";
import { webSocketRateLimit } from "lift-ws/middleware/rate-limit";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { createStreamer } from "lift-ws/streamer";
import { answer } from "../lib/control.ts";

const [, , path = ""] = process.argv;
const everyone = () => true;
let logged = 0;

const streamer = createStreamer({
  channels: { room: { subscribe: everyone, publish: everyone } },
  store: sqliteChannelStore({ path }),
  connectionStore: memoryConnectionStore(),
  middleware: webSocketRateLimit({ messages: { by: "connection", limit: 300, windowMs: 10_000 } }),
  logger: jsonLogger({
    write: (_level, line) => {
      logged += line.length + 1;
      console.error(line);
    },
  }),
});

const gateway = createGateway({ handler: (event, context) => handler(event, context) });
const handler = streamer.app.webSocketHandler({ connections: gateway });

answer("logged", () => {
  const bytes = logged;
  logged = 0;
  return bytes;
});

await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
