/** Clients that make long requests and watch them, on bare sockets. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { open } from "../lib/connect.ts";
import { answer, usage } from "../lib/control.ts";
import { clientFrame, FrameReader } from "../lib/frames.ts";

/** Counts of one second, or of one run. */
export interface Throughput {
  readonly perSecond: number;
  readonly cpuPercent: number;
}

export interface OutputResult {
  /** From writing a token to receiving it, in ms, over all watchers. */
  readonly p99: number;
  readonly median: number;
  /** Tokens that a watcher missed, got twice or out of order. */
  readonly faults: number;
}

/** Wait for the last tokens, in ms. Later ones are lost. */
const OUTPUT_MS = 10_000;

interface Frame {
  readonly type: string;
  readonly request_id?: string;
  readonly [field: string]: unknown;
}

const sockets: Socket[] = [];
let port = 0;
let onFrame: (connection: number, frame: Frame) => void = () => {};
let ids = 0;
const newId = () => `bench-${process.pid}-${String(++ids).padStart(10, "0")}`;

answer("open", async ({ to, count }: { readonly to: number; readonly count: number }): Promise<void> => {
  port = to;
  for (let n = 0; n < count; n++) {
    const connection = sockets.length;
    const reader = new FrameReader((bytes, start, end) => {
      const frame = JSON.parse(bytes.toString("utf8", start, end)) as Frame;
      if (frame.type === "error") throw new Error(JSON.stringify(frame.error));
      onFrame(connection, frame);
    });
    const endpoint = { protocol: "websocket", port, path: "/dev?token=bench" } as const;
    const socket = await open(endpoint, (length, buffer) => reader.take(length, buffer));
    socket.removeAllListeners("close").on("error", () => {});
    sockets.push(socket);
  }
});

function send(connection: number, message: object): void {
  sockets[connection]!.write(clientFrame(JSON.stringify(message)));
}

/** Keeps `inFlight` requests, or publications, under way, each the next when one has ended. */
answer(
  "throughput",
  async ({ ms, inFlight, what }: { ms: number; inFlight: number; what: "requests" | "publish" }) => {
    let done = 0;
    let underWay = inFlight;
    let isRunning = true;
    const next = (connection: number) => {
      const payload = { channel: "room:bench", data: { text: "x".repeat(70) } };
      if (what === "publish") send(connection, { id: "p", action: "publish", payload });
      else send(connection, { id: newId(), action: "noop" });
    };
    const settled = new Promise<void>((resolve) => {
      onFrame = (connection, { type }) => {
        if (type !== (what === "publish" ? "response" : "complete")) return;
        done++;
        if (isRunning) next(connection);
        else if (--underWay === 0) resolve();
      };
    });
    const before = usage();
    for (let n = 0; n < inFlight; n++) next(n % sockets.length);
    await sleep(ms);
    const after = usage();
    const counted = done;
    isRunning = false;
    await settled;
    const seconds = (after.at - before.at) / 1e6;
    return {
      perSecond: counted / seconds,
      cpuPercent: (100 * (after.cpu - before.cpu)) / (after.at - before.at),
    } satisfies Throughput;
  },
);

/** Makes requests at a fixed rate. @returns the times from each call to its acknowledgment, in ms */
answer("pace", async ({ ms, perSecond }: { ms: number; perSecond: number }): Promise<number[]> => {
  const sentAt = new Map<string, number>();
  const latencies: number[] = [];
  onFrame = (_connection, { type, request_id }) => {
    if (type === "acknowledgment") latencies.push(performance.now() - sentAt.get(request_id!)!);
  };
  const start = performance.now();
  for (let sent = 0, now = start; now - start < ms; now = performance.now()) {
    for (const due = Math.floor(((now - start) / 1_000) * perSecond); sent < due; sent++) {
      const id = newId();
      sentAt.set(id, performance.now());
      const payload = performance.timeOrigin + performance.now();
      send(sent % sockets.length, { id, action: "timed", payload });
    }
    await sleep(1);
  }
  while (latencies.length < sentAt.size) await sleep(10);
  return latencies;
});

/** Starts a request from each of the first connections. Resolves when all have ended. */
answer(
  "run",
  async ({
    count,
    action,
    payload,
  }: {
    count: number;
    action: string;
    payload: unknown;
  }): Promise<number> => {
    let frames = 0;
    let left = count;
    const ended = new Promise<void>((resolve) => {
      onFrame = (_connection, { type }) => {
        if (type === "progress") frames++;
        if (type === "complete" && --left === 0) resolve();
      };
    });
    for (let n = 0; n < count; n++) send(n, { id: newId(), action, payload });
    await ended;
    return frames;
  },
);

/** Stores requests that start in a day. */
answer("store", async (count: number): Promise<void> => {
  let left = count;
  const stored = new Promise<void>((resolve) => {
    onFrame = (_connection, { type }) => void (type === "acknowledgment" && --left === 0 && resolve());
  });
  const startAt = Date.now() + 24 * 60 * 60_000;
  for (let n = 0; n < count; n++) {
    send(n % sockets.length, { id: newId(), action: "noop", payload: { n }, startAt });
    if (n % 100 === 99) await sleep(5);
  }
  await stored;
});

/** Runs answers that write tokens, each with watchers besides the client that asked. */
answer(
  "output",
  async (how: {
    answers: number;
    watchers: number;
    count: number;
    perSecond: number;
  }): Promise<OutputResult> => {
    const { answers, watchers, count, perSecond } = how;
    const names = Array.from({ length: answers }, newId);
    const latencies: number[] = [];
    const seen = new Map<string, number>();
    let faults = 0;
    let left = answers * (1 + watchers);
    const ended = new Promise<void>((resolve) => {
      onFrame = (connection, frame) => {
        const now = performance.timeOrigin + performance.now();
        if (frame.type === "acknowledgment") {
          const index = names.indexOf(frame.request_id!);
          const channels = [
            { channel: `request:${frame.request_id}`, position: { epoch: "output", offset: 0 } },
          ];
          for (let n = 0; n < watchers; n++) {
            send(answers + index * watchers + n, { id: "s", action: "subscribe", payload: { channels } });
          }
        }
        if (frame.type === "complete" && --left === 0) resolve();
        if (frame.type === "message") take(connection, frame, now);
        if (frame.type === "response") {
          const { channels = [] } = frame.data as { channels?: { messages?: Frame[] }[] };
          for (const message of channels[0]?.messages ?? []) take(connection, message, undefined);
        }
      };
    });
    const take = (connection: number, { channel, data }: Frame, now: number | undefined) => {
      const key = `${connection} ${channel}`;
      for (const token of ((data as { text?: string }).text ?? "").trim().split(" ")) {
        if (token === "") continue;
        const [n, at] = token.split("@").map(Number) as [number, number];
        const last = seen.get(key) ?? -1;
        // A frame may arrive again with the answer to the subscription.
        if (n <= last) continue;
        if (n !== last + 1) faults++;
        seen.set(key, n);
        if (now !== undefined) latencies.push(now - at);
      }
    };
    for (const [n, id] of names.entries()) send(n, { id, action: "tokens", payload: { count, perSecond } });
    await ended;
    const lost = () => {
      const received = [...seen.values()].reduce((sum, last) => sum + last + 1, 0);
      return answers * (1 + watchers) * count - received;
    };
    for (const end = performance.now() + OUTPUT_MS; lost() > 0 && performance.now() < end; ) await sleep(10);
    faults += lost();
    latencies.sort((a, b) => a - b);
    return { p99: at(latencies, 0.99), median: at(latencies, 0.5), faults };
  },
);

/** Attaches to a finished answer, again and again. @returns the times until it is whole, in ms */
answer("attach", async ({ count, times }: { count: number; times: number }): Promise<number[]> => {
  const id = newId();
  await new Promise<void>((resolve) => {
    onFrame = (_connection, { type }) => void (type === "complete" && resolve());
    send(0, { id, action: "tokens", payload: { count, perSecond: 4_000 } });
  });
  const latencies: number[] = [];
  const channels = [{ channel: `request:${id}`, position: { epoch: "output", offset: 0 } }];
  for (let n = 0; n < times; n++) {
    const start = performance.now();
    const tokens = await new Promise<number>((resolve) => {
      onFrame = (connection, { type, data }) => {
        if (connection !== 1 || type !== "response") return;
        const [channel] = (data as { channels: { messages?: { data: { text?: string } }[] }[] }).channels;
        const text = channel?.messages?.map((message) => message.data.text ?? "").join("") ?? "";
        resolve(text.trim().split(" ").length);
      };
      send(1, { id: "s", action: "subscribe", payload: { channels } });
    });
    if (tokens !== count) throw new Error(`The answer has ${tokens} tokens, not ${count}`);
    latencies.push(performance.now() - start);
    await new Promise<void>((resolve) => {
      onFrame = (connection, { type }) => void (connection === 1 && type === "response" && resolve());
      send(1, { id: "u", action: "unsubscribe", payload: { channels: [`request:${id}`] } });
    });
  }
  return latencies;
});

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.POSITIVE_INFINITY;
}

console.log("ready 0");
