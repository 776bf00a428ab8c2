// Shows the cost of node:net alone: each chunk goes back to its sender, or to all, unchanged. The client sends as many
// bytes as a WebSocket frame with the same text has.
import { createServer } from "node:net";

const sockets = new Set();

const onData = {
  echo: (socket) => (chunk) => socket.write(chunk),
  broadcast: () => (chunk) => {
    for (const socket of sockets) socket.write(chunk);
  },
}[process.argv[2]];

const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  socket.on("data", onData(socket));
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () =>
  console.log(`ready ${server.address().port}`),
);
