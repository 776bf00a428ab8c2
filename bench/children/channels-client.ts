/** Subscribers and publishers of one room, on bare sockets. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, open } from "../lib/connect.ts";
import { answer, usage } from "../lib/control.ts";
import { clientFrame, FrameReader } from "../lib/frames.ts";

export interface OpenRequest {
  readonly endpoint: Endpoint;
  readonly count: number;
  readonly atOnce: number;
}

export interface PublishRequest {
  readonly ms: number;
  /** Number of connections that publish, each the next message after the last one is confirmed. */
  readonly publishers: number;
  /** Confirmation: the response to the request, or the publisher's own message. */
  readonly until: "answered" | "received";
}

export interface PublishResult {
  /** Confirmed publications. */
  readonly perSecond: number;
  /** Messages received by all connections. */
  readonly deliveriesPerSecond: number;
  /** CPU use of this client, in percent of its core. */
  readonly cpuPercent: number;
}

export interface PaceRequest {
  readonly ms: number;
  readonly publishers: number;
  /** Publications per second of all publishers, regardless of confirmations. */
  readonly perSecond: number;
}

export interface PaceResult {
  /** 99th percentile over all connections of the time from writing a publication to reading it, in ms. */
  readonly p99: number;
  readonly median: number;
  readonly received: number;
  readonly expected: number;
}

export interface RecoverResult {
  /** Time from the first upgrade until all have their missed messages. */
  readonly ms: number;
  /** Connections that missed a message. */
  readonly incomplete: number;
}

const GIVEN_UP_MS = 60_000;
const CHANNEL = "room:bench";
/** Filler for 100 bytes of data. */
const FILLER = "x".repeat(100);

const sockets: Socket[] = [];
let endpoint: Endpoint;
let onMessage: (connection: number, bytes: Buffer, start: number, end: number) => void = () => {};

const isStreamer = () => endpoint.path.startsWith("/dev");

answer("open", async ({ endpoint: to, count, atOnce }: OpenRequest): Promise<void> => {
  endpoint = to;
  await openAll(count, atOnce);
});

/** @param greet bytes to write as soon as a connection is open */
async function openAll(count: number, atOnce: number, greet?: Buffer): Promise<void> {
  let next = sockets.length;
  const end = next + count;
  const opener = async () => {
    while (next < end) {
      const connection = next++;
      const reader = new FrameReader((bytes, from, to) => onMessage(connection, bytes, from, to));
      const socket = await open(endpoint, (length, buffer) => reader.take(length, buffer));
      socket.removeAllListeners("close").on("error", () => {});
      sockets[connection] = socket;
      if (greet !== undefined) socket.write(greet);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, opener));
}

answer("close", async (): Promise<void> => {
  const closing = sockets.splice(0);
  await Promise.all(
    closing.map((socket) => new Promise((resolve) => socket.once("close", resolve).resetAndDestroy())),
  );
});

/** Subscribes the last connections. Resolves when all are members. */
answer("subscribe", async (count: number): Promise<void> => {
  const request = { id: "s", action: "subscribe", payload: { channels: [{ channel: CHANNEL }] } };
  await answers(sockets.slice(-count), JSON.stringify(request));
});

/** Sends the same request from each connection and waits for all responses. */
async function answers(from: readonly Socket[], text: string): Promise<string[]> {
  const found: string[] = [];
  const all = new Promise<void>((resolve) => {
    onMessage = (_connection, bytes, start, end) => {
      const message = bytes.toString("utf8", start, end);
      if (!message.includes('"type":"response"')) throw new Error(`Unexpected response: ${message}`);
      if (found.push(message) === from.length) resolve();
    };
  });
  const frame = clientFrame(text);
  for (const socket of from) socket.write(frame);
  await all;
  return found;
}

answer("publish", async ({ ms, publishers, until }: PublishRequest): Promise<PublishResult> => {
  let published = 0;
  let deliveries = 0;
  let underWay = publishers;
  let running = true;
  const sign = until === "answered" ? "response" : undefined;
  const settled = new Promise<void>((resolve) => {
    onMessage = (connection, bytes, start, end) => {
      const isAnswer = bytes.toString("latin1", start, start + 18) === '{"type":"response"';
      if (!isAnswer) deliveries++;
      if (connection >= publishers) return;
      if (sign === undefined ? isAnswer || !isOwn(connection, bytes, start, end) : !isAnswer) return;
      published++;
      if (running) sockets[connection]!.write(publication(connection));
      else if (--underWay === 0) resolve();
    };
  });
  const before = usage();
  for (let connection = 0; connection < publishers; connection++)
    sockets[connection]!.write(publication(connection));
  await sleep(ms);
  const after = usage();
  const seconds = (after.at - before.at) / 1e6;
  const result = {
    perSecond: published / seconds,
    deliveriesPerSecond: deliveries / seconds,
    cpuPercent: (100 * (after.cpu - before.cpu)) / (after.at - before.at),
  };
  running = false;
  await settled;
  return result;
});

answer("pace", async ({ ms, publishers, perSecond }: PaceRequest): Promise<PaceResult> => {
  const latencies: number[] = [];
  onMessage = (_connection, bytes, start, end) => {
    const sentAt = sentAtOf(bytes, start, end);
    if (sentAt !== undefined) latencies.push(performance.now() - sentAt);
  };
  const start = performance.now();
  let sent = 0;
  for (let now = start; now - start < ms; now = performance.now()) {
    const due = Math.floor(((now - start) / 1_000) * perSecond);
    for (; sent < due; sent++) {
      const connection = sent % publishers;
      sockets[connection]!.write(publication(connection, performance.now()));
    }
    await sleep(1);
  }
  const expected = sent * sockets.length;
  for (const end = performance.now() + 10_000; latencies.length < expected && performance.now() < end; )
    await sleep(10);
  latencies.sort((a, b) => a - b);
  return {
    p99: latencies[Math.ceil(0.99 * latencies.length) - 1] ?? Number.POSITIVE_INFINITY,
    median: latencies[latencies.length >> 1] ?? Number.POSITIVE_INFINITY,
    received: latencies.length,
    expected,
  };
});

/** Drops all connections, publishes `missed` messages, and reconnects all with their position. */
answer("recover", async ({ missed, atOnce }: { missed: number; atOnce: number }): Promise<RecoverResult> => {
  const count = sockets.length;
  const [first = "{}"] = await answers(
    sockets.slice(0, 1),
    JSON.stringify({ id: "h", action: "history", payload: { channel: CHANNEL, limit: 1 } }),
  );
  const { position } = JSON.parse(first).data;
  for (const socket of sockets.splice(0)) socket.resetAndDestroy();
  await openAll(1, 1);
  for (let n = 0; n < missed; n++) await answers(sockets, publicationText(0, n));
  sockets.splice(0)[0]!.resetAndDestroy();

  const payload = { channels: [{ channel: CHANNEL, position }] };
  const request = clientFrame(JSON.stringify({ id: "r", action: "subscribe", payload }));
  const whole = new Set<number>();
  const all = new Promise<void>((resolve) => {
    onMessage = (connection, bytes, start, end) => {
      const { data } = JSON.parse(bytes.toString("utf8", start, end));
      const [channel] = data.channels;
      if (channel.recovered === true && channel.messages.length === missed) whole.add(connection);
      if (whole.size === count) resolve();
    };
  });
  const start = performance.now();
  await openAll(count, atOnce, request);
  await Promise.race([all, sleep(GIVEN_UP_MS, undefined, { ref: false })]);
  return { ms: performance.now() - start, incomplete: count - whole.size };
});

/** A message of about 100 bytes with its publisher and send time. */
function publication(connection: number, at = 0): Buffer {
  const text = publicationText(connection, at);
  return clientFrame(endpoint.protocol === "socket.io" ? `42["m",${text}]` : text);
}

function publicationText(connection: number, at: number): string {
  const data = `{"p":${connection},"t":${at.toFixed(3)},"text":"${FILLER.slice(0, 70)}"}`;
  return isStreamer()
    ? `{"id":"p","action":"publish","payload":{"channel":"${CHANNEL}","data":${data}}}`
    : data;
}

function isOwn(connection: number, bytes: Buffer, start: number, end: number): boolean {
  return bytes.toString("latin1", start, end).includes(`"p":${connection},`);
}

function sentAtOf(bytes: Buffer, start: number, end: number): number | undefined {
  const text = bytes.toString("latin1", start, end);
  const at = text.indexOf('"t":');
  return at === -1 ? undefined : Number.parseFloat(text.slice(at + 4, at + 24));
}

console.log("ready 0");
