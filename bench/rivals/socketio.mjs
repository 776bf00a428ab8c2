// socket.io over its websocket transport. Its broadcast prepares one frame for all.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  // Longer than a sample: the client counts bytes, so no heartbeat may fall into one.
  pingInterval: 3_600_000,
});

const onMessage = {
  echo: (socket) => (message) => socket.emit("m", message),
  broadcast: () => (message) => io.emit("m", message),
}[process.argv[2]];

io.on("connection", (socket) => socket.on("m", onMessage(socket)));
http.listen(0, "127.0.0.1", () => console.log(`ready ${http.address().port}`));
