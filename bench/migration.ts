/** Compares the three ways of examples/migration: source, memory, cold start, time, DynamoDB units and cost. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SignJWT } from "jose";
import { makeReport } from "../examples/migration/report.ts";
import { toBill } from "../src/cli/cost/prices.ts";
import { ASSUMED, FRAME_BYTES, INVOCATION_LOG_BYTES, LOG_LINE_BYTES } from "../src/cli/cost/work.ts";
import { LambdaFunction, startDynamoDBLocal } from "../src/lambda-emulator/index.ts";
import { connectEvent, disconnectEvent, lambdaContext, messageEvent } from "../src/lift/testing/index.ts";
import { byHand, type Deployment, lift, oldPattern, type Side } from "../test/support/migration-sides.ts";
import { UnitCounter } from "../test/support/unit-counter.ts";
import { bundle } from "../tools/bundle.mjs";
import type { EventSample } from "./children/migration-side.ts";
import { SERVER_CORE, startChild } from "./lib/children.ts";
import { atLeast, type Findings, type Row } from "./lib/report.ts";
import { countSources, type SourceCount } from "./lib/source.ts";
import { median } from "./lib/stats.ts";

const FOLDER = fileURLToPath(new URL("../examples/migration/", import.meta.url));
/** The frameworks and the work itself are not the application's. */
const EXCLUDED = ["report.ts", "old-pattern/app-handle.ts"];

const SIDES = {
  hand: { name: "by hand", folder: "by-hand", create: byHand, invocations: 5, logLines: 2 },
  old: { name: "old pattern", folder: "old-pattern", create: oldPattern, invocations: 5, logLines: 2 },
  // The dispatcher and the worker are two functions.
  lift: { name: "Lift", folder: "lift", create: lift, invocations: 6, logLines: 0 },
} as const;
type Key = keyof typeof SIDES;
const KEYS = Object.keys(SIDES) as Key[];
const FUNCTIONS: { readonly [Name in Key]: readonly string[] } = {
  hand: ["connect", "disconnect", "router", "processor"],
  old: ["connect", "disconnect", "router", "processor"],
  lift: ["connect", "disconnect", "router", "dispatch", "worker"],
};

/** A session: connect, 19 messages that are answered at once, a report, disconnect. */
const SESSION = { echoes: 19, messages: 20 };
const SESSIONS = 10;
const MEMORY_GB = 256 / 1_024;
const GB = 1_024 ** 3;
const connectionId = "L0SM9cOFvHcCIhw=";
const AUTH = { secret: randomBytes(32), issuer: "bench", audience: "bench" };

interface Units {
  readonly reads: number;
  readonly writes: number;
  readonly calls: number;
  readonly frames: number;
}
type Operation = "connect" | "echo" | "report" | "disconnect";
type Session = { readonly [Name in Operation]: Units };

interface Samples {
  readonly source: SourceCount;
  readonly kilobytes: number;
  readonly coldConnect: number[];
  readonly coldRouter: number[];
  readonly p50: number[];
  readonly p99: number[];
  readonly rss: number[];
  readonly heap: number[];
  readonly allocated: number[];
  session?: Session;
}

export async function migration(runs: number, progress: (line: string) => void): Promise<Findings> {
  const folder = await mkdtemp(join(tmpdir(), "lift-ws-bench-"));
  const [dynamoDB, posts] = [await startDynamoDBStub(), await startPostStub()];
  try {
    const samples = Object.fromEntries(
      await Promise.all(KEYS.map(async (key) => [key, await prepare(key, folder)])),
    ) as Record<Key, Samples>;
    const environment = await environmentWith(dynamoDB.endpoint, posts.endpoint);
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? "migration: once to warm the disk" : `migration: sample ${run} of ${runs}`);
      for (const key of KEYS) await sample(key, join(folder, key), environment, samples[key], run > 0);
    }
    progress("migration: units on DynamoDB Local");
    await measureUnits(samples, posts);
    return evaluate(samples, runs);
  } finally {
    await Promise.all([dynamoDB.stop(), posts.stop()]);
    await rm(folder, { recursive: true });
  }
}

async function prepare(key: Key, folder: string): Promise<Samples> {
  const entry = (name: string) => `${SIDES[key].folder}/lambda/${name}.ts`;
  const entries = FUNCTIONS[key].map(entry);
  const [, router] = await Promise.all(
    ["connect", "router"].map((name) => bundle(join(FOLDER, entry(name)), join(folder, key, name))),
  );
  const numbers = { coldConnect: [], coldRouter: [], p50: [], p99: [], rss: [], heap: [], allocated: [] };
  return { source: countSources(FOLDER, entries, EXCLUDED), kilobytes: router!.bytes / 1_000, ...numbers };
}

async function sample(
  key: Key,
  folder: string,
  { token, ...environment }: Record<string, string> & { token: string },
  samples: Samples,
  isKept: boolean,
): Promise<void> {
  const cold = async (name: string, event: object) => {
    const fn = new LambdaFunction({ name: key, directory: join(folder, name), environment });
    const start = performance.now();
    const { statusCode } = (await fn.invoke(event)) as { statusCode: number };
    const ms = performance.now() - start;
    await fn.stop();
    if (statusCode !== 200) throw new Error(`${SIDES[key].name}: ${name} answered ${statusCode}`);
    return ms;
  };
  const coldConnect = await cold("connect", connectEvent({ connectionId, query: { token } }));
  const coldRouter = await cold("router", messageEvent("$default", ECHO, { connectionId }));
  if (!isKept) return;
  samples.coldConnect.push(coldConnect);
  samples.coldRouter.push(coldRouter);
  const { ms, rss, heap } = await ask<EventSample>("messages", folder, token, environment);
  const sorted = [...ms].sort((a, b) => a - b);
  samples.p50.push(median(ms));
  samples.p99.push(sorted[Math.ceil(0.99 * sorted.length) - 1]!);
  samples.rss.push(rss / 2 ** 20);
  samples.heap.push(heap / 2 ** 20);
  const large = ["--min-semi-space-size=64", "--max-semi-space-size=64"];
  samples.allocated.push((await ask<number>("allocations", folder, token, environment, large)) / 1_024);
}

async function ask<Result>(
  command: string,
  folder: string,
  token: string,
  environment: Record<string, string>,
  flags: readonly string[] = [],
): Promise<Result> {
  const args = [folder, token, JSON.stringify(environment)];
  const child = startChild("children/migration-side.ts", SERVER_CORE, args, flags);
  try {
    await child.ready;
    return await child.ask<Result>(command);
  } finally {
    await child.stop();
  }
}

const ECHO = { id: "m1", action: "echo", payload: { text: "x".repeat(60) } };

async function environmentWith(dynamoDB: string, posts: string) {
  const tables = ["CONNECTIONS", "REQUESTS", "MESSAGES", "MEMBERS"].map((name) => [`${name}_TABLE`, name]);
  return {
    ...(Object.fromEntries(tables) as Record<string, string>),
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDB,
    AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: posts,
    CONNECTIONS_ENDPOINT: posts,
    TOKEN_SECRET: AUTH.secret.toString("base64url"),
    TOKEN_ISSUER: AUTH.issuer,
    TOKEN_AUDIENCE: AUTH.audience,
    token: await createToken(),
  };
}

function createToken(): Promise<string> {
  return new SignJWT({ tenant_id: "bench" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("ann")
    .setIssuer(AUTH.issuer)
    .setAudience(AUTH.audience)
    .setExpirationTime("3h")
    .sign(AUTH.secret);
}

async function measureUnits(samples: Record<Key, Samples>, posts: PostStub): Promise<void> {
  const engine = await startDynamoDBLocal();
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  Object.assign(process.env, {
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
  });
  try {
    for (const key of KEYS) {
      const counter = new UnitCounter(
        new DynamoDBClient({ endpoint: engine.endpoint, region: "us-east-1", credentials }),
      );
      const side = await SIDES[key].create({ client: counter.client, dynamoDB: engine.endpoint });
      samples[key].session = await runSessions(side, counter, posts);
    }
  } finally {
    await engine.stop();
  }
}

/** Returns the units of each operation, as the mean of several sessions. */
async function runSessions(side: Side, counter: UnitCounter, posts: PostStub): Promise<Session> {
  const deployment = await side.deploy({
    auth: AUTH,
    endpoint: posts.endpoint,
    makeReport,
    timeoutMs: 60_000,
    attempts: 3,
    tickMs: 3_600_000,
  });
  let calls = 0;
  const count = (args: never, next: (args: never) => Promise<never>) => {
    calls++;
    return next(args);
  };
  counter.client.middlewareStack.add((next) => (args) => count(args as never, next as never), {
    step: "initialize",
  });
  const token = await createToken();
  const totals: Record<Operation, Units> = { connect: NONE, echo: NONE, report: NONE, disconnect: NONE };
  const measure = async (operation: Operation, work: () => Promise<void>) => {
    counter.take();
    [calls, posts.frames.length] = [0, 0];
    await work();
    totals[operation] = add(totals[operation], { ...counter.take(), calls, frames: posts.frames.length });
  };
  try {
    for (let n = 0; n < SESSIONS; n++) {
      const id = `c${n}=`;
      const message = (body: object) => messageEvent("$default", body, { connectionId: id });
      const report = { start_date: "2026-01-01", end_date: "2026-01-31" };
      await measure("connect", () =>
        call(deployment.connect, connectEvent({ connectionId: id, query: { token } })),
      );
      await measure("echo", () => call(deployment.router, message(ECHO)));
      await measure("report", async () => {
        await call(deployment.router, message({ id: `r${n}`, action: "generate_report", payload: report }));
        await posts.received((frame) => frame.includes('"complete"') && frame.includes(`"r${n}"`));
      });
      await measure("disconnect", () => call(deployment.disconnect, disconnectEvent({ connectionId: id })));
    }
  } finally {
    await deployment.stop();
  }
  const mean = ({ reads, writes, calls, frames }: Units): Units => ({
    reads: reads / SESSIONS,
    writes: writes / SESSIONS,
    calls: calls / SESSIONS,
    frames: frames / SESSIONS,
  });
  const entries = Object.entries(totals).map(([operation, units]) => [operation, mean(units)]);
  return Object.fromEntries(entries) as Session;
}

const NONE: Units = { reads: 0, writes: 0, calls: 0, frames: 0 };

function add(a: Units, b: Units, times = 1): Units {
  return {
    reads: a.reads + times * b.reads,
    writes: a.writes + times * b.writes,
    calls: a.calls + times * b.calls,
    frames: a.frames + times * b.frames,
  };
}

async function call(
  handler: Deployment["connect"],
  event: Parameters<Deployment["connect"]>[0],
): Promise<void> {
  const result = (await handler(event, lambdaContext(), () => {})) as { statusCode?: number } | undefined;
  if (result?.statusCode !== 200) throw new Error(`failed with ${JSON.stringify(result)}`);
}

/** Dollars per million messages of sessions, without connection minutes, which are the same for each way. */
function toCost(key: Key, { session, p50 }: Samples): number {
  const { connect, echo, report, disconnect } = session!;
  const total = add(add(add(add(NONE, connect), report), disconnect), echo, SESSION.echoes);
  const { invocations, logLines } = SIDES[key];
  const allInvocations = invocations - 1 + SESSION.echoes;
  const ms = allInvocations * median(p50) + total.calls * ASSUMED.callMs + total.frames * ASSUMED.sendMs;
  const sessions = 1e6 / SESSION.messages;
  return toBill({
    messages: sessions * (SESSION.messages + total.frames),
    connectionMinutes: 0,
    invocations: sessions * allInvocations,
    gbSeconds: sessions * (ms / 1_000) * MEMORY_GB,
    reads: sessions * total.reads,
    writes: sessions * total.writes,
    storedGb: 0,
    backupGb: 0,
    logGb: (sessions * (allInvocations * INVOCATION_LOG_BYTES + logLines * LOG_LINE_BYTES)) / GB,
    metricCalls: 0,
    sentGb: (sessions * total.frames * FRAME_BYTES) / GB,
  }).total;
}

function evaluate(samples: Record<Key, Samples>, runs: number): Findings {
  const rows = KEYS.map((key): Row => {
    const it = samples[key];
    const { connect, echo, report, disconnect } = it.session!;
    return {
      side: SIDES[key].name,
      files: it.source.files,
      lines: it.source.lines,
      complexity: it.source.complexity,
      "worst function": it.source.worst,
      "kB allocated": median(it.allocated),
      "heap MB": median(it.heap),
      "RSS MB": median(it.rss),
      "bundle kB": it.kilobytes,
      "cold connect ms": median(it.coldConnect),
      "cold router ms": median(it.coldRouter),
      "p50 ms": median(it.p50),
      "p99 ms": median(it.p99),
      connect: unitsText(connect),
      message: unitsText(echo),
      report: unitsText(report),
      disconnect: unitsText(disconnect),
      "$ per million": toCost(key, it),
    };
  });
  const less = (of: (key: Key) => number) => 100 * (1 - of("lift") / of("hand"));
  const med = (of: (it: Samples) => number[]) => (key: Key) => median(of(samples[key]));
  return {
    measure: "migration",
    runs,
    // A row for each figure: side by side they are wider than a terminal.
    rows: Object.keys(rows[0]!)
      .filter((figure) => figure !== "side")
      .map((figure) => ({
        figure,
        ...Object.fromEntries(rows.map((row) => [row.side, format(row[figure]!)])),
      })),
    targets: [
      atLeast(
        "% fewer lines than by hand",
        70,
        less((key) => samples[key].source.lines),
      ),
      atLeast("% less time in the router (p50 of a message)", 50, less(med(({ p50 }) => p50))),
      atLeast("% less memory (RSS)", 30, less(med(({ rss }) => rss))),
      atLeast(
        "% lower cost per million messages",
        40,
        less((key) => toCost(key, samples[key])),
      ),
    ],
    notes: [
      "Lines with a token, of the application: without frameworks and without the report itself. Complexity is cyclomatic, a sum.",
      "By hand and the old pattern call DynamoDB and @connections through the AWS SDK, Lift without it. `coldstart` measures Lift with it.",
      "Lift's connect function leaves out the requests. By hand, it bundles their table and the sends too, which is 12 kB of 505 kB.",
      "The router handles a message of 100 bytes between stubs of DynamoDB and @connections on this machine, one at a time.",
      "Units are reads + writes, counted on DynamoDB Local. A report is stored, run, and sends its progress and result.",
      `Cost: ${SESSION.echoes} messages and a report for each connection, prices of \`lift-ws cost\`, without connection minutes.`,
      "The functions' time: the measured p50, with 5 ms more for each DynamoDB call and 10 ms for each send; 256 MB.",
    ],
  };
}

function unitsText({ reads, writes }: Units): string {
  return `${Number(reads.toFixed(1))} + ${Number(writes.toFixed(1))}`;
}

function format(value: string | number): string {
  return typeof value === "string" ? value : String(Number(value.toPrecision(3)));
}

/** Stores items by their connection, and returns them. Other calls succeed with nothing. */
async function startDynamoDBStub() {
  type Key = { ConnectionID?: { S: string } };
  const items = new Map<string, unknown>();
  return startServer((body) => {
    const { TableName, Item, Key } = JSON.parse(body) as { TableName?: string; Item?: Key; Key?: Key };
    const id = `${TableName} ${(Item ?? Key)?.ConnectionID?.S}`;
    if (Item !== undefined) items.set(id, Item);
    const found = Item === undefined ? items.get(id) : undefined;
    return JSON.stringify(found === undefined ? {} : { Item: found });
  });
}

type PostStub = Awaited<ReturnType<typeof startPostStub>>;

/** Accepts every POST at once. */
async function startPostStub() {
  const frames: string[] = [];
  const waiting = new Set<() => void>();
  const server = await startServer((body) => {
    frames.push(body);
    for (const check of waiting) check();
    return "";
  });
  return {
    ...server,
    frames,
    received: (fits: (frame: string) => boolean) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (!frames.some(fits)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}

async function startServer(answer: (body: string) => string) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    response
      .writeHead(200, { "content-type": "application/x-amz-json-1.0" })
      .end(answer(Buffer.concat(chunks).toString()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
