/** The clients of `flood`: one sends as fast as its socket accepts, the other publishes at intervals. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, open } from "../lib/connect.ts";
import { answer } from "../lib/control.ts";
import { clientFrame, FrameReader } from "../lib/frames.ts";

export interface FloodResult {
  /** Bytes that the sockets accepted. */
  readonly bytes: number;
  /** Number of closes by the server. The client reconnects after each. */
  readonly closed: number;
  /** Whether a close had a reason: the gateway's code 1008, or an error frame of Lift's rate limit before it. */
  readonly isExplained: boolean;
}

export interface PoliteResult {
  /** Times from a publication to its response, in ms. */
  readonly answers: readonly number[];
  /** Response times of `/healthz`, in ms. */
  readonly health: readonly number[];
  readonly lost: number;
}

/** A request of 43 bytes that Streamer refuses, until a rate limit does. */
const FLOOD = '{"id":"12","action":"publish","payload":{}}';
const FLOOD_FRAMES = Buffer.concat(Array<Buffer>(1_000).fill(clientFrame(FLOOD)));
const BETWEEN_MS = 40;
const LOST_AFTER_MS = 5_000;
const CLOSE_OPCODE = 0x88;
const POLICY_VIOLATION = 1008;
/** An error frame without a `request_id` precedes a close. */
const CLOSING_FRAME = '{"type":"error","error":{"code":"RATE_LIMITED"';

answer("flood", async ({ endpoint, ms }: { endpoint: Endpoint; ms: number }): Promise<FloodResult> => {
  const end = performance.now() + ms;
  let bytes = 0;
  let closed = 0;
  let isExplained = false;
  while (performance.now() < end) {
    const socket = await open(endpoint, (length, buffer) => {
      isExplained ||= closeCode(buffer, length) === POLICY_VIOLATION;
      isExplained ||= buffer.subarray(0, length).includes(CLOSING_FRAME);
    }).catch(() => undefined);
    if (socket === undefined) continue;
    await floodUntilClosed(socket, end);
    if (performance.now() < end) closed++;
    bytes += socket.bytesWritten;
  }
  return { bytes, closed, isExplained };
});

function floodUntilClosed(socket: Socket, end: number): Promise<void> {
  return new Promise((resolve) => {
    const write = () => {
      if (performance.now() >= end) return void socket.resetAndDestroy();
      // Yields between writes, so that the server's messages are read.
      socket.write(FLOOD_FRAMES, () => setImmediate(write));
    };
    socket.removeAllListeners("close").on("error", () => {});
    socket.once("end", () => socket.destroy());
    socket.once("close", () => resolve());
    write();
  });
}

/** A close frame is the last frame in the data. */
function closeCode(buffer: Buffer, length: number): number | undefined {
  const at = buffer.subarray(0, length).lastIndexOf(CLOSE_OPCODE);
  if (at === -1 || at + 4 > length || buffer[at + 1]! !== length - at - 2) return undefined;
  return buffer.readUInt16BE(at + 2);
}

answer("polite", async ({ endpoint, ms }: { endpoint: Endpoint; ms: number }): Promise<PoliteResult> => {
  const waiting = new Map<string, number>();
  const answers: number[] = [];
  const reader = new FrameReader((bytes, from, to) => {
    const { request_id: id, type } = JSON.parse(bytes.toString("utf8", from, to));
    const sentAt = waiting.get(id);
    if (sentAt === undefined || type !== "response") return;
    waiting.delete(id);
    answers.push(performance.now() - sentAt);
  });
  const socket = await open(endpoint, (length, buffer) => reader.take(length, buffer));
  socket.removeAllListeners("close").on("error", () => {});
  const health: number[] = [];
  const end = performance.now() + ms;
  const probing = probeHealth(endpoint.port, end, health);
  for (let n = 0; performance.now() < end; n++) {
    waiting.set(`p${n}`, performance.now());
    const publish = { id: `p${n}`, action: "publish", payload: { channel: "room:polite", data: n } };
    socket.write(clientFrame(JSON.stringify(publish)));
    await sleep(BETWEEN_MS);
  }
  await probing;
  const until = performance.now() + LOST_AFTER_MS;
  while (waiting.size > 0 && performance.now() < until) await sleep(BETWEEN_MS);
  socket.destroy();
  return { answers, health, lost: waiting.size };
});

async function probeHealth(port: number, end: number, into: number[]): Promise<void> {
  while (performance.now() < end) {
    const start = performance.now();
    await (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
    into.push(performance.now() - start);
    await sleep(BETWEEN_MS);
  }
}

console.log("ready 0");
