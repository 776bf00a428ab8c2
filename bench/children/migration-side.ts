/**
 * One way of examples/migration in a process of its own: its bundled router between stubs of DynamoDB and @connections.
 * Measures time, allocated bytes and memory of messages.
 */
import { pathToFileURL } from "node:url";
import type { LambdaHandler } from "lift-ws/apigw";
import { connectEvent, lambdaContext, messageEvent } from "lift-ws/testing";
import { answer } from "../lib/control.ts";
import { median } from "../lib/stats.ts";

export interface EventSample {
  /** ms of each message. */
  readonly ms: readonly number[];
  /** Resident bytes of the process after all messages and a full collection. */
  readonly rss: number;
  /** Heap and external bytes after all messages and a full collection. */
  readonly heap: number;
}

const WARM_UP = 500;
const MESSAGES = 1_000;
/** Few enough to fit into a young generation of 64 MB, so that nothing is collected between two readings. */
const ALLOCATING = 100;
const ALLOCATION_BATCHES = 9;
const connectionId = "L0SM9cOFvHcCIhw=";

const [folder = "", token = "", environment = "{}"] = process.argv.slice(2);
Object.assign(process.env, JSON.parse(environment));
// Log lines are part of the work, but not their reader.
for (const level of ["info", "warn", "error"] as const) console[level] = () => {};

const load = async (name: string): Promise<LambdaHandler> => {
  const module = (await import(pathToFileURL(`${folder}/${name}/index.mjs`).href)) as {
    handler: LambdaHandler;
  };
  return module.handler;
};

const context = lambdaContext();

async function call(handler: LambdaHandler, event: Parameters<LambdaHandler>[0]): Promise<void> {
  const result = (await handler(event, context, () => {})) as { statusCode?: number } | undefined;
  if (result?.statusCode !== 200) throw new Error(`failed with ${JSON.stringify(result)}`);
}

async function connectAndWarmUp(): Promise<() => Promise<void>> {
  await call(await load("connect"), connectEvent({ connectionId, query: { token } }));
  const router = await load("router");
  const message = { id: "m1", action: "echo", payload: { text: "x".repeat(60) } };
  const send = () => call(router, messageEvent("$default", message, { connectionId }));
  for (let n = 0; n < WARM_UP; n++) await send();
  return send;
}

answer("messages", async (): Promise<EventSample> => {
  const send = await connectAndWarmUp();
  const ms: number[] = [];
  for (let n = 0; n < MESSAGES; n++) {
    const start = performance.now();
    await send();
    ms.push(performance.now() - start);
  }
  for (let n = 0; n < 4; n++) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { ms, rss, heap: heapUsed + external };
});

answer("allocations", async (): Promise<number> => measureAllocations(await connectAndWarmUp()));

/** Median of several batches. The young generation is large enough that no collection runs within one. */
async function measureAllocations(send: () => Promise<void>): Promise<number> {
  const batches: number[] = [];
  for (let batch = 0; batch < ALLOCATION_BATCHES; batch++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < ALLOCATING; n++) await send();
    batches.push((process.memoryUsage().heapUsed - before) / ALLOCATING);
  }
  return median(batches);
}

console.log("ready 0");
