import { connectHandler } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import { checkProtocolVersion } from "lift-ws/streamer";
import { auth, connectionStore, schedule } from "./options.ts";

// A connection joins channels later, by messages. Without channels, this function's bundle is a quarter as large.
const middleware = [checkProtocolVersion, webSocketAuth(auth)];

export const handler = connectHandler({ connectionStore, schedule, middleware });
