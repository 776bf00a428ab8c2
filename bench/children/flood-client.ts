/** The clients of `flood`: one connection that sends as fast as its socket accepts, and many that publish rarely. */
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

export interface QuietResult {
  /** Times from a publication to its response, in ms. */
  readonly answers: readonly number[];
  /** Response times of `/healthz`, in ms. */
  readonly health: readonly number[];
  readonly lost: number;
}

export interface QuietRequest {
  readonly endpoint: Endpoint;
  /** Number of connections. They take turns. */
  readonly count: number;
  readonly ms: number;
}

/** A request of 43 bytes that Streamer refuses, until a rate limit does. */
const FLOOD = '{"id":"12","action":"publish","payload":{}}';
const FLOOD_FRAMES = Buffer.concat(Array<Buffer>(1_000).fill(clientFrame(FLOOD)));
/** Time between two publications of all quiet connections together. */
const BETWEEN_MS = 5;
const BETWEEN_PROBES_MS = 40;
const OPENERS = 20;
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

const quiet: Socket[] = [];
const waiting = new Map<string, number>();
let answers: number[] = [];

/** Opens the connections on the first call. Then publishes from one after the other, and probes `/healthz`. */
answer("quiet", async ({ endpoint, count, ms }: QuietRequest): Promise<QuietResult> => {
  await openQuiet(endpoint, count);
  answers = [];
  const health: number[] = [];
  const start = performance.now();
  const probing = probeHealth(endpoint.port, start + ms, health);
  // The pace is fixed: a late turn sends everything that is due.
  let sent = 0;
  for (let at = start; at < start + ms; at = performance.now()) {
    for (; start + sent * BETWEEN_MS <= at; sent++) publish(sent);
    await sleep(1);
  }
  await probing;
  const until = performance.now() + LOST_AFTER_MS;
  while (waiting.size > 0 && performance.now() < until) await sleep(BETWEEN_MS);
  const lost = waiting.size;
  waiting.clear();
  return { answers, health, lost };
});

function publish(n: number): void {
  const id = `p${n}`;
  waiting.set(id, performance.now());
  const publication = { id, action: "publish", payload: { channel: "room:quiet", data: n } };
  quiet[n % quiet.length]!.write(clientFrame(JSON.stringify(publication)));
}

/** Tries again when the gateway's limit on new connections refuses one. */
async function openQuiet(endpoint: Endpoint, count: number): Promise<void> {
  const opener = async () => {
    while (quiet.length < count) {
      const reader = new FrameReader(receive);
      const socket = await open(endpoint, (length, buffer) => reader.take(length, buffer)).catch(
        () => undefined,
      );
      if (socket === undefined) await sleep(100 * Math.random());
      else if (quiet.length === count) socket.destroy();
      else quiet.push(socket.removeAllListeners("close").on("error", () => {}));
    }
  };
  await Promise.all(Array.from({ length: OPENERS }, opener));
}

function receive(bytes: Buffer, from: number, to: number): void {
  const { request_id: id, type } = JSON.parse(bytes.toString("utf8", from, to));
  const sentAt = waiting.get(id);
  if (sentAt === undefined || type !== "response") return;
  waiting.delete(id);
  answers.push(performance.now() - sentAt);
}

async function probeHealth(port: number, end: number, into: number[]): Promise<void> {
  while (performance.now() < end) {
    const start = performance.now();
    await (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
    into.push(performance.now() - start);
    await sleep(BETWEEN_PROBES_MS);
  }
}

console.log("ready 0");
