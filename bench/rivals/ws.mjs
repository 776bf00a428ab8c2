// Bare ws: no routes, no events, no state. `echo` answers each message; `broadcast` sends it to all.
import { Sender, WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });

const onMessage = {
  echo: (socket) => (data, isBinary) => socket.send(data, { binary: isBinary }),
  broadcast: () => (data) => {
    // One frame for all: ws would otherwise build a header per receiver.
    const frame = Buffer.concat(
      Sender.frame(data, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false }),
    );
    for (const client of server.clients) client._socket.write(frame);
  },
}[process.argv[2]];

server.on("connection", (socket) => socket.on("message", onMessage(socket)));
server.on("listening", () => console.log(`ready ${server.address().port}`));
