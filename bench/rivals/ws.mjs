// Bare ws without routes, events and state. `echo` returns each message, `broadcast` sends it to all.
import { Sender, WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });

const onMessage = {
  echo: (socket) => (data, isBinary) => socket.send(data, { binary: isBinary }),
  broadcast: () => (data) => {
    // Prepares one frame for all, because ws builds a header per receiver otherwise.
    const frame = Buffer.concat(
      Sender.frame(data, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false }),
    );
    for (const client of server.clients) client._socket.write(frame);
  },
}[process.argv[2]];

server.on("connection", (socket) => socket.on("message", onMessage(socket)));
server.on("listening", () => console.log(`ready ${server.address().port}`));
