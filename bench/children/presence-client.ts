/** Connections in rooms of equal size, on bare sockets, which drop at once. */
import type { Socket } from "node:net";
import { type Endpoint, open } from "../lib/connect.ts";
import { answer } from "../lib/control.ts";
import { clientFrame, FrameReader } from "../lib/frames.ts";

export interface EnterRequest {
  readonly endpoint: Endpoint;
  readonly count: number;
  /** Connections per room. */
  readonly perRoom: number;
  readonly atOnce: number;
}

const sockets: Socket[] = [];

/** Opens connections room by room. Resolves when all are members. */
answer("enter", async ({ endpoint, count, perRoom, atOnce }: EnterRequest): Promise<void> => {
  let next = 0;
  const opener = async () => {
    while (next < count) await enter(endpoint, Math.floor(next++ / perRoom));
  };
  await Promise.all(Array.from({ length: atOnce }, opener));
});

/** Drops one in `oneIn` connections, evenly in all rooms, without a close frame. Resolves to their number. */
answer("drop", (oneIn: number): number => {
  const dropped = sockets.filter((_, at) => at % oneIn === 0);
  for (const socket of dropped) socket.resetAndDestroy();
  return dropped.length;
});

async function enter(endpoint: Endpoint, room: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const reader = new FrameReader((bytes, from, to) => {
    const isAnswer = bytes.toString("latin1", from, from + 18) === '{"type":"response"';
    if (isAnswer) resolve();
    else if (bytes.includes('"type":"error"')) reject(new Error(bytes.toString("utf8", from, to)));
  });
  const socket = await open(endpoint, (length, buffer) => reader.take(length, buffer));
  socket.removeAllListeners("close").on("error", () => {});
  sockets.push(socket);
  const payload = { channels: [{ channel: `room:${room}` }] };
  socket.write(clientFrame(JSON.stringify({ id: "s", action: "subscribe", payload })));
  await promise;
}

console.log("ready 0");
