// DBOS on PostgreSQL: workflows that do nothing, started and completed by one process.
import { setTimeout as sleep } from "node:timers/promises";
import { DBOS } from "@dbos-inc/dbos-sdk";
import { answer } from "../lib/control.ts";

const logger = { debug() {}, info() {}, warn: console.warn, error: console.error };
const workflow = DBOS.registerWorkflow(async () => null, { name: "noop" });
DBOS.setConfig({ name: "bench", systemDatabaseUrl: process.argv[2], systemDatabasePoolSize: 32, logger });
await DBOS.launch();

/** Keeps `inFlight` workflows running: starts the next when one completes. */
answer("throughput", async ({ ms, inFlight }) => {
  let done = 0;
  let isRunning = true;
  const loop = async () => {
    while (isRunning) {
      const handle = await DBOS.startWorkflow(workflow)({ text: "x".repeat(70) });
      await handle.getResult();
      done++;
    }
  };
  const start = performance.now();
  const loops = Array.from({ length: inFlight }, loop);
  await sleep(ms);
  const perSecond = done / ((performance.now() - start) / 1_000);
  isRunning = false;
  await Promise.all(loops);
  return { perSecond };
});

console.log("ready 0");
