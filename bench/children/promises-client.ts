/** Clients of `promises`: the product's client on `ws`, in rooms of a hundred. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelMessage, type Client, ClientError, createClient } from "lift-ws/client";
import WebSocket from "ws";
import { answer } from "../lib/control.ts";

export interface OpenRequest {
  readonly port: number;
  readonly count: number;
  readonly perRoom: number;
  /** New connections per second. */
  readonly perSecond: number;
}

export interface LoadRequest {
  readonly ms: number;
  readonly publicationsPerSecond: number;
  /** Connections that the client resets. */
  readonly resetsPerSecond: number;
  /** Connections whose client reads nothing for up to two seconds. */
  readonly stallsPerSecond: number;
}

/** Sums since the first connection. */
export interface PromiseCounts {
  /** Attempts to open a connection that have ended. */
  readonly attempts: number;
  /** Attempts that opened a connection. */
  readonly opened: number;
  /** Messages that the clients sent to the server. */
  readonly requests: number;
  /** Error frames, and publications that were given up. */
  readonly errors: number;
  /** Times that a member must get a message. */
  readonly expected: number;
  readonly received: number;
  /** Messages that came twice or out of order. */
  readonly doubled: number;
  /** The first reasons of failures. */
  readonly reasons: readonly string[];
}

/** A lost message shows by the next one, by a new connection or by a heartbeat. */
const HEARTBEAT_MS = 60_000;
const STALL_MS = 2_000;
const SETTLE_MS = 120_000;
const MAX_REASONS = 20;
const FILLER = "x".repeat(80);

const counts = { attempts: 0, opened: 0, requests: 0, errors: 0, received: 0, doubled: 0 };
const reasons = new Map<string, number>();
const sockets = new Set<CountedSocket>();
const members: Member[] = [];
let perRoom = 1;
/** The last offset of each room. */
const newest: number[] = [];

/** Counts attempts, requests and error frames. */
class CountedSocket extends WebSocket {
  constructor(url: string) {
    super(url, { perMessageDeflate: false });
    let isOpen = false;
    const end = () => {
      if (!isOpen) fail("attempt", "closed before it was open");
      if (!isOpen) counts.attempts++;
      sockets.delete(this);
    };
    this.once("open", () => {
      isOpen = true;
      counts.attempts++;
      counts.opened++;
      sockets.add(this);
    });
    this.once("close", end);
    this.on("error", (error) => {
      if (!isOpen) fail("attempt", error.message);
    });
    this.on("message", (data: Buffer) => {
      const start = data.toString("latin1", 0, 16);
      // An error of the Streamer, or one of API Gateway.
      if (start.startsWith('{"type":"error"') || start.startsWith('{"message":')) {
        counts.errors++;
        fail("error frame", data.toString());
      }
    });
  }

  override send(data: Parameters<WebSocket["send"]>[0]): void {
    counts.requests++;
    super.send(data);
  }

  /** The network connection of an open socket. */
  get connection(): Socket {
    return (this as unknown as { readonly _socket: Socket })._socket;
  }
}

/** A subscriber of a room, and the last offset that it received. */
class Member {
  readonly client: Client;
  readonly room: number;
  last = 0;

  constructor(port: number, room: number) {
    this.room = room;
    const url = `ws://127.0.0.1:${port}/dev`;
    this.client = createClient({ url, WebSocket: CountedSocket, heartbeatMs: HEARTBEAT_MS });
  }

  async open(): Promise<void> {
    this.client.connect();
    await this.client.subscribe(`room:${this.room}`, {
      onMessage: (message) => this.#take(message),
      onLost: () => fail("loss reported", `room:${this.room}`),
      onError: ({ code }) => fail("subscription", code),
    }).ready;
  }

  async publish(): Promise<void> {
    try {
      const { position } = await this.client.publish(`room:${this.room}`, { text: FILLER });
      newest[this.room] = Math.max(newest[this.room]!, position?.offset ?? 0);
    } catch (error) {
      counts.errors++;
      fail("publication", error instanceof ClientError ? error.code : String(error));
    }
  }

  get isComplete(): boolean {
    return this.last === newest[this.room] && this.client.state.status === "connected";
  }

  #take({ position }: ChannelMessage): void {
    const offset = position?.offset ?? 0;
    if (offset <= this.last) counts.doubled++;
    else {
      counts.received++;
      if (offset > this.last + 1) fail("missed", `room:${this.room} after ${this.last}: ${offset}`);
      this.last = offset;
      newest[this.room] = Math.max(newest[this.room]!, offset);
    }
  }
}

function fail(kind: string, reason: string): void {
  const text = `${kind}: ${reason}`.slice(0, 160);
  if (reasons.has(text) || reasons.size < MAX_REASONS) reasons.set(text, (reasons.get(text) ?? 0) + 1);
}

answer("open", async (request: OpenRequest): Promise<void> => {
  perRoom = request.perRoom;
  for (let room = 0; room < request.count / perRoom; room++) newest.push(0);
  const opening: Promise<void>[] = [];
  await paced(request.count / request.perSecond, request.perSecond, () => {
    const member = new Member(request.port, Math.floor(members.length / perRoom));
    members.push(member);
    opening.push(member.open());
  });
  await Promise.all(opening);
});

const publishing = new Set<Promise<void>>();

answer("load", async (request: LoadRequest): Promise<void> => {
  const seconds = request.ms / 1_000;
  await Promise.all([
    paced(seconds, request.publicationsPerSecond, () => {
      const one = pick(members)
        .publish()
        .finally(() => publishing.delete(one));
      publishing.add(one);
    }),
    paced(seconds, request.resetsPerSecond, () => pick([...sockets]).connection.resetAndDestroy()),
    paced(seconds, request.stallsPerSecond, () => {
      const { connection } = pick([...sockets]);
      connection.pause();
      setTimeout(() => connection.resume(), Math.random() * STALL_MS);
    }),
  ]);
});

/** Waits until every member has every message, or for two minutes. */
answer("settle", async (): Promise<PromiseCounts> => {
  await Promise.all(publishing);
  const end = performance.now() + SETTLE_MS;
  while (!members.every(({ isComplete }) => isComplete) && performance.now() < end) await sleep(50);
  const expected = newest.reduce((sum, offset) => sum + offset * perRoom, 0);
  return { ...counts, expected, reasons: [...reasons].map(([text, times]) => `${times} x ${text}`) };
});

/** Calls `act` so many times a second, at even intervals. */
async function paced(seconds: number, perSecond: number, act: () => void): Promise<void> {
  const start = performance.now();
  const total = Math.round(seconds * perSecond);
  for (let done = 0; done < total; await sleep(5)) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1_000) * perSecond));
    for (; done < due; done++) act();
  }
}

function pick<Item>(items: readonly Item[]): Item {
  return items[Math.floor(Math.random() * items.length)]!;
}

console.log("ready 0");
