/** A client with many connections to one server. It must cost less than any server under test. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, open, type Receive } from "../lib/connect.ts";
import { answer, usage } from "../lib/control.ts";
import { messageText, request, response } from "../lib/wire.ts";

export interface OpenRequest {
  readonly endpoint: Endpoint;
  readonly count: number;
  /** Maximum number of concurrent handshakes. */
  readonly atOnce: number;
}

export interface EchoResult {
  readonly perSecond: number;
  /** CPU use of this client, in percent of its core. */
  readonly cpuPercent: number;
}

export interface BroadcastResult {
  /** Time from sending the trigger until the last receiver had the whole message. */
  readonly ms: number;
  /** Receivers without the whole message after ten seconds. */
  readonly lost: number;
}

const LOST_AFTER_MS = 60_000;
const TRIES = 50;

const sockets: Socket[] = [];
let endpoint: Endpoint;
/** Receives the bytes. Each measure sets its own. */
let onBytes: (connection: number, length: number, buffer: Buffer) => void = () => {};

answer("open", async (wanted: OpenRequest): Promise<number> => {
  endpoint = wanted.endpoint;
  let refused = 0;
  let next = sockets.length;
  const end = next + wanted.count;
  const opener = async (): Promise<void> => {
    while (next < end) {
      const connection = next++;
      refused += await openOne(connection);
    }
  };
  await Promise.all(Array.from({ length: wanted.atOnce }, opener));
  return refused;
});

/** Resolves to the number of refusals before it was accepted. */
async function openOne(connection: number): Promise<number> {
  const receive: Receive = (length, buffer) => onBytes(connection, length, buffer);
  for (let refused = 0; ; refused++) {
    try {
      const socket = await open(endpoint, receive);
      socket.removeAllListeners("close").on("close", () => {
        if (sockets.length > 0) throw new Error(`the server closed connection ${connection}`);
      });
      sockets[connection] = socket;
      return refused;
    } catch (error) {
      if (refused === TRIES) throw error;
      await sleep(100 * Math.random());
    }
  }
}

answer("close", async (): Promise<void> => {
  const closing = sockets.splice(0);
  await Promise.all(
    closing.map((socket) => new Promise((resolve) => socket.once("close", resolve).resetAndDestroy())),
  );
});

answer("echo", async (ms: number): Promise<EchoResult> => {
  const message = request(endpoint.protocol, messageText("echo"));
  const expected = response(endpoint.protocol, messageText("echo"));
  const received = new Uint32Array(sockets.length);
  let messages = 0;
  let inFlight = sockets.length;
  let running = true;
  let wrong: Error | undefined;
  const check = inspector(expected);
  const settled = new Promise<void>((resolve) => {
    onBytes = (connection, length, buffer) => {
      wrong ??= check(connection, length, buffer);
      received[connection]! += length;
      if (received[connection]! < expected.length) return;
      received[connection]! -= expected.length;
      messages++;
      if (running) sockets[connection]!.write(message);
      else if (--inFlight === 0) resolve();
    };
  });
  const before = usage();
  for (const socket of sockets) socket.write(message);
  await sleep(ms);
  const after = usage();
  const perSecond = (1e6 * messages) / (after.at - before.at);
  running = false;
  await Promise.race([settled, sleep(LOST_AFTER_MS, undefined, { ref: false })]);
  if (wrong) throw wrong;
  if (inFlight > 0) throw new Error(`${inFlight} messages had no response`);
  return { perSecond, cpuPercent: (100 * (after.cpu - before.cpu)) / (after.at - before.at) };
});

answer("broadcast", async (): Promise<BroadcastResult> => {
  const expected = response(endpoint.protocol, messageText("broadcast"));
  const received = new Uint32Array(sockets.length);
  let waiting = sockets.length;
  let wrong: Error | undefined;
  const check = inspector(expected);
  const start = performance.now();
  let end = start;
  const settled = new Promise<void>((resolve) => {
    onBytes = (connection, length, buffer) => {
      wrong ??= check(connection, length, buffer);
      received[connection]! += length;
      if (received[connection]! < expected.length) return;
      if (--waiting > 0) return;
      end = performance.now();
      resolve();
    };
    sockets[0]!.write(request(endpoint.protocol, messageText("broadcast")));
  });
  await Promise.race([settled, sleep(LOST_AFTER_MS, undefined, { ref: false })]);
  if (wrong) throw wrong;
  return { ms: end - start, lost: waiting };
});

/** Compares the first response on each connection byte by byte, and the length of later ones. */
function inspector(
  expected: Buffer,
): (connection: number, length: number, buffer: Buffer) => Error | undefined {
  const seen = new Uint8Array(sockets.length);
  return (connection, length, buffer) => {
    if (seen[connection] === 1) return undefined;
    seen[connection] = 1;
    if (expected.equals(buffer.subarray(0, length))) return undefined;
    return new Error(`Unexpected response: ${buffer.toString("latin1", 0, length)}`);
  };
}

console.log("ready 0");
