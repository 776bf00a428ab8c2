/** Clients that send messages, and come and go, in a process of their own. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { answer } from "../../bench/lib/control.ts";

export interface LoadCounts {
  readonly attempts: number;
  /** Attempts that failed, those included that the rehearsal refused. */
  readonly failedAttempts: number;
  /** Connections that ended otherwise than by their client. */
  readonly dropped: number;
  readonly sent: number;
  readonly answered: number;
  /** Connections whose messages were answered by both sides. */
  readonly moved: number;
}

const MESSAGE_EVERY_MS = 400;
const LIFETIME_MS = [2_000, 8_000] as const;
const ANSWER_MS = 5_000;
const RETRY_MS = 50;

const counts = { attempts: 0, failedAttempts: 0, dropped: 0, sent: 0, answered: 0, moved: 0 };
let running = true;
/** Ends when the connections of a pause may be closed. */
const pause = Promise.withResolvers<void>();
const clients: { readonly ended: Promise<void>; readonly quiet: Promise<void> }[] = [];

answer("start", ({ port, count }: { readonly port: number; readonly count: number }): void => {
  for (let n = 0; n < count; n++) {
    const quiet = Promise.withResolvers<void>();
    const ended = runClient(`ws://127.0.0.1:${port}/dev`, quiet.resolve).finally(quiet.resolve);
    clients.push({ ended, quiet: quiet.promise });
  }
});
/** Resolves when no client sends, connects or disconnects any more. Open connections stay open. */
answer("pause", async (): Promise<void> => {
  running = false;
  await Promise.all(clients.map(({ quiet }) => quiet));
});
answer("stop", async (): Promise<LoadCounts> => {
  pause.resolve();
  await Promise.all(clients.map(({ ended }) => ended));
  return counts;
});

async function runClient(url: string, onQuiet: () => void): Promise<void> {
  await sleep(Math.random() * LIFETIME_MS[1]);
  while (running) {
    const socket = await connect(url);
    if (socket === undefined) await sleep(RETRY_MS);
    else await converse(socket, onQuiet);
  }
}

async function connect(url: string): Promise<WebSocket | undefined> {
  counts.attempts++;
  const socket = new WebSocket(url, { perMessageDeflate: false });
  try {
    await once(socket, "open");
    return socket;
  } catch {
    counts.failedAttempts++;
    return undefined;
  }
}

/** Sends one message after the other, each until it is answered. */
async function converse(socket: WebSocket, onQuiet: () => void): Promise<void> {
  const [shortest, longest] = LIFETIME_MS;
  const end = performance.now() + shortest + Math.random() * (longest - shortest);
  const sides = new Set<string>();
  let isLeaving = false;
  const closed = new Promise<void>((resolve) =>
    socket.once("close", () => {
      if (!isLeaving) counts.dropped++;
      resolve();
    }),
  );
  for (let number = 1; running && performance.now() < end; number++) {
    counts.sent++;
    for (let isAnswered = false; !isAnswered && socket.readyState === WebSocket.OPEN; ) {
      const side = await ask(socket, number, closed);
      isAnswered = side !== undefined;
      if (side !== undefined) sides.add(side);
      else await sleep(RETRY_MS);
      if (isAnswered) counts.answered++;
    }
    await sleep(MESSAGE_EVERY_MS);
  }
  if (sides.size === 2) counts.moved++;
  if (!running) {
    onQuiet();
    await pause.promise;
  }
  isLeaving = true;
  socket.close();
  await closed;
}

/** @returns the side that answered; `undefined` for an error, or no answer in time */
async function ask(socket: WebSocket, number: number, closed: Promise<void>): Promise<string | undefined> {
  let onMessage: (data: Buffer) => void = () => {};
  const answered = new Promise<string | undefined>((resolve) => {
    onMessage = (data) => {
      const message = JSON.parse(data.toString());
      if (message.number === number) resolve(message.side);
      if (message.message !== undefined) resolve(undefined);
    };
    socket.on("message", onMessage);
  });
  socket.send(JSON.stringify({ number }));
  const timeout = sleep(ANSWER_MS, undefined, { ref: false });
  const side = await Promise.race([answered, timeout, closed]);
  socket.off("message", onMessage);
  return side ?? undefined;
}

console.log("ready 0");
