import { Lift } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import { checkProtocolVersion } from "lift-ws/streamer";
import { auth, connectionStore } from "./options.ts";

// Without the requests, this function's bundle is smaller.
const app = new Lift({ connectionStore }).use(checkProtocolVersion, webSocketAuth(auth));

export const handler = app.webSocketHandler();
