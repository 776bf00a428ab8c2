// socket.io's rooms with connection state recovery: what it has to compare with a channel that keeps a history, though
// in memory, and as long as a connection is remembered.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  connectionStateRecovery: {},
  // No heartbeat falls into a sample.
  pingInterval: 3_600_000,
});

io.on("connection", (socket) => {
  socket.join("room");
  socket.on("m", (message) => io.to("room").emit("m", message));
});
http.listen(0, "127.0.0.1", () => console.log(`ready ${http.address().port}`));
