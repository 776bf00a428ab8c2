// BullMQ on Redis: the queue part of long requests, with a producer and a worker in one process.
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, Worker } from "bullmq";
import { answer } from "../lib/control.ts";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), maxRetriesPerRequest: null };
const kept = { removeOnComplete: { count: 1_000 } };
const queue = new Queue("bench", { connection });
const worker = new Worker("bench", async () => null, { connection, concurrency: 32 });
await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);

/** Keeps `inFlight` jobs running: starts the next when one completes. */
answer("throughput", async ({ ms, inFlight }) => {
  let done = 0;
  let underWay = inFlight;
  let isRunning = true;
  const next = () => void queue.add("noop", { text: "x".repeat(70) }, kept);
  const settled = new Promise((resolve) => {
    worker.on("completed", () => {
      done++;
      if (isRunning) next();
      else if (--underWay === 0) resolve();
    });
  });
  const start = performance.now();
  for (let n = 0; n < inFlight; n++) next();
  await sleep(ms);
  const perSecond = done / ((performance.now() - start) / 1_000);
  isRunning = false;
  await settled;
  worker.removeAllListeners("completed");
  return { perSecond };
});

console.log("ready 0");
