/** Measures how soon a tenant's request starts on DynamoDB Local while 10,000 requests of another tenant wait. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { pollTableStream, startDynamoDBLocal } from "../src/lambda-emulator/index.ts";
import {
  createTableInput,
  dynamoDBChannelStore,
  REQUEST_TABLE,
  REQUEST_TABLE_STREAM_SOURCE,
} from "../src/store/dynamodb/index.ts";
import type { NewRequest } from "../src/store/index.ts";
import { memoryChannelStore } from "../src/store/memory/index.ts";
import { createStreamer, type WorkerEvent } from "../src/streamer/index.ts";
import { inParallel } from "./lib/in-parallel.ts";
import { atMost, type Findings, none } from "./lib/report.ts";
import { median } from "./lib/stats.ts";

const WAITING = 10_000;
/** Requests of the small tenant, one after another. */
const PROBES = 20;
/** Requests that may run at the same time. */
const LIMITS = { all: 8, tenant: 4 };
const WORK_MS = 200;
/** Calls in flight: the SDK's default number of sockets. */
const AT_ONCE = 50;
const LAMBDA_MS = 60_000;

export async function queue(runs: number, progress: (line: string) => void): Promise<Findings> {
  const engine = await startDynamoDBLocal();
  const first: number[] = [];
  const delays: number[] = [];
  let idle = 0;
  try {
    for (let run = 1; run <= runs; run++) {
      progress(`queue: ${WAITING} requests, ${run} of ${runs}`);
      const found = await round(engine.endpoint);
      first.push(found.delays[0]!);
      delays.push(...found.delays);
      if (found.ended === 0) idle++;
    }
  } finally {
    await engine.stop();
  }
  return {
    measure: "queue",
    runs,
    rows: [
      {
        what: "right after the last of them was stored, ms",
        median: median(first),
        slowest: Math.max(...first),
      },
      {
        what: `${PROBES} requests one after another, ms`,
        median: median(delays),
        slowest: Math.max(...delays),
      },
    ],
    targets: [
      atMost("from storing a request to its handler, the slowest", 2_000, Math.max(...delays), " ms"),
      none("samples in which no request of the large tenant ended meanwhile", idle),
    ],
    notes: [
      `${WAITING} requests of one tenant, of which ${LIMITS.tenant} may run, for ${WORK_MS} ms each; those of another tenant run beside them.`,
      "The store, the table's stream, the dispatcher and the workers run on this machine; an invocation is a function call, so Lambda's own time is not in it.",
    ],
  };
}

/** @returns ms from each request of the small tenant to its start, and how many of the other's have ended since the first */
async function round(endpoint: string): Promise<{ delays: number[]; ended: number }> {
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const target = { endpoint, region: "us-east-1", credentials };
  const client = new DynamoDBClient({ ...target, maxAttempts: 1 });
  const tableName = `bench-${randomUUID()}`;
  await client.send(new CreateTableCommand(createTableInput(tableName, REQUEST_TABLE)));
  const { requests } = dynamoDBChannelStore({
    ...{ messageTableName: "none", memberTableName: "none", requestTableName: tableName },
    ...{ client, timeoutMs: 60_000 },
  });
  if (requests === undefined) throw new Error("The store has no requests");
  const starts = new Map<string, () => void>();
  let ended = 0;
  const streamer = createStreamer({
    channels: {},
    store: { ...memoryChannelStore(), requests },
    requests: { workers: 0 },
  }).request("work", { estimatedMs: WORK_MS, timeoutMs: LAMBDA_MS / 2 }, async (input, { identity }) => {
    if (identity.tenantId === "small") return starts.get(String(input))?.();
    await sleep(WORK_MS);
    ended++;
  });
  const running = new Set<Promise<unknown>>();
  let isOver = false;
  const invoke = (event: WorkerEvent) => {
    if (isOver) return;
    const work = worker(event, lambdaContext());
    work.catch(() => {});
    running.add(work);
  };
  const limited = { limits: LIMITS, invoke };
  const worker = streamer.workerHandler(limited);
  const dispatch = streamer.dispatchHandler(limited);
  const { batchWindowSeconds: _, maxRecordAgeSeconds: __, ...source } = REQUEST_TABLE_STREAM_SOURCE;
  const handler = (event: object) => dispatch(event, lambdaContext());
  const poller = await pollTableStream({ ...source, ...target, tableName, handler });
  try {
    const ids = Array.from({ length: WAITING }, () => randomUUID());
    await inParallel(ids, AT_ONCE, (id) => requests.create(newRequest("large", id)));
    const before = ended;
    const delays: number[] = [];
    for (let probe = 0; probe < PROBES; probe++) {
      const id = randomUUID();
      const started = Promise.withResolvers<void>();
      starts.set(id, started.resolve);
      const storedAt = performance.now();
      await requests.create(newRequest("small", id));
      await Promise.race([started.promise, lost()]);
      delays.push(performance.now() - storedAt);
    }
    return { delays, ended: ended - before };
  } finally {
    isOver = true;
    await poller.stop();
    await Promise.all(running);
    client.destroy();
  }
}

function newRequest(tenant: string, id: string): NewRequest {
  const at = Date.now();
  return {
    ...{ owner: JSON.stringify([tenant, "ada"]), id, action: "work", input: id, tenant, priority: 0 },
    identity: { userId: "ada", tenantId: tenant, permissions: [] },
    createdAt: at,
    dueAt: at,
  };
}

async function lost(): Promise<never> {
  await sleep(LAMBDA_MS, undefined, { ref: false });
  throw new Error("A request was not started");
}

function lambdaContext() {
  const end = performance.now() + LAMBDA_MS;
  return { getRemainingTimeInMillis: () => end - performance.now() };
}
