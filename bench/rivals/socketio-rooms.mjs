// socket.io's rooms with connection state recovery: the closest to a channel with history, but in memory and only while
// a connection is remembered.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  connectionStateRecovery: {},
  // Longer than a sample, so that no heartbeat falls into one.
  pingInterval: 3_600_000,
});

io.on("connection", (socket) => {
  socket.join("room");
  socket.on("m", (message) => io.to("room").emit("m", message));
});
http.listen(0, "127.0.0.1", () => console.log(`ready ${http.address().port}`));
