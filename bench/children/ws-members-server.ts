/** Bare `ws` for `disconnect`: counts connections and sends no presence events. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { answer } from "../lib/control.ts";
import { TurnWatch } from "../lib/turns.ts";

const http = createServer((_request, response) => response.end("ok"));
let members = 0;
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", () => {
    members++;
    socket.send('{"type":"response"}');
  });
  socket.on("close", () => members--);
});

const turns = new TurnWatch();
answer("watch", () => turns.start());
answer("stall", () => turns.longestMs);
answer("members", () => members);

http.listen(0, "127.0.0.1", () => console.log(`ready ${(http.address() as AddressInfo).port}`));
