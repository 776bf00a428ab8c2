import { Lift } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import { checkProtocolVersion } from "lift-ws/streamer";
import { auth, connectionStore, schedule } from "./options.ts";

// A connection joins channels later, by messages. Without channels, this function's bundle is a third as large.
const app = new Lift({ connectionStore, schedule }).use(checkProtocolVersion, webSocketAuth(auth));

export const handler = app.webSocketHandler();
