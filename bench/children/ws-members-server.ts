/** Bare `ws` for `disconnect` and `flood`: counts members, answers requests by their id, and has no limits. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { answer } from "../lib/control.ts";
import { TurnWatch } from "../lib/turns.ts";

const http = createServer((_request, response) => response.end("ok"));
let members = 0;
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket) => {
  socket.on("error", () => {});
  let isMember = false;
  socket.on("message", (data) => {
    const { id, action } = JSON.parse(String(data));
    if (action === "subscribe" && !isMember) {
      isMember = true;
      members++;
    }
    socket.send(JSON.stringify({ type: "response", request_id: id, success: true }));
  });
  socket.on("close", () => {
    if (isMember) members--;
  });
});

const turns = new TurnWatch();
answer("watch", () => turns.start());
answer("stall", () => turns.longestMs);
answer("members", () => members);
answer("logged", () => 0);

http.listen(0, "127.0.0.1", () => console.log(`ready ${(http.address() as AddressInfo).port}`));
