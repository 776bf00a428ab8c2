/** Measures long requests: how many are stored and run, their progress, and their output to watchers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutputResult, Throughput } from "./children/requests-client.ts";
import { type Child, CLIENT_CORE, cpuShare, SERVER_CORE, startChild } from "./lib/children.ts";
import type { Memory, Usage } from "./lib/control.ts";
import { hasPostgres, startPostgres } from "./lib/postgres.ts";
import { hasRedis, startRedis } from "./lib/redis.ts";
import { atLeast, atMost, type Findings, none, type Row } from "./lib/report.ts";
import { LIMITS_OFF } from "./lib/sides.ts";
import { median, spread } from "./lib/stats.ts";

const SAMPLE_MS = 1_000;
const WARM_UP_MS = 2_000;
const IN_FLIGHT = 32;
const PACED_MS = 5_000;
const PACE = 200;
const LONG = 100;
const LONG_MS = 5_000;
const WAITING = 10_000;
const WATCHERS = 3;
const GATHER_MS = 200;
const ANSWER = 4_000;

interface Queue {
  readonly child: Child;
  /** Stops the child and its database. */
  stop(): Promise<void>;
}

interface Rival {
  readonly name: string;
  /** Whether a job that is stored survives a crash of the machine, as in SQLite. */
  readonly isDurable: boolean;
  readonly isInstalled: () => boolean;
  readonly start: () => Promise<Queue>;
}

const RIVALS: readonly Rival[] = [
  ...(["always", "everysec"] as const).map((fsync) => ({
    name: `BullMQ, Redis with ${fsync}`,
    isDurable: fsync === "always",
    isInstalled: hasRedis,
    start: async () => {
      const redis = await startRedis(fsync);
      return startQueue("rivals/bullmq.mjs", String(redis.port), redis);
    },
  })),
  {
    name: "DBOS, PostgreSQL",
    isDurable: true,
    isInstalled: hasPostgres,
    start: async () => {
      const postgres = await startPostgres();
      return startQueue("rivals/dbos.mjs", postgres.url, postgres);
    },
  },
];

function startQueue(file: string, address: string, database: { stop(): Promise<void> }): Queue {
  const child = startChild(file, SERVER_CORE, [address]);
  const stop = async () => {
    await child.stop();
    await database.stop();
  };
  return { child, stop };
}

interface Samples {
  /** Jobs per second of each installed rival. */
  readonly rivals: ReadonlyMap<Rival, number[]>;
  readonly requests: number[];
  readonly publishes: number[];
  readonly acknowledged: number[];
  readonly started: number[];
  readonly reportsCpu: number[];
  readonly outputCpu: number[];
  readonly output: OutputResult[];
  readonly attached: number[];
}

export async function requests(runs: number, progress: (line: string) => void): Promise<Findings> {
  const rivals = RIVALS.filter(({ isInstalled }) => isInstalled());
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  const server = startChild("children/requests-server.ts", SERVER_CORE, [join(folder, "requests.db")]);
  const client = startChild("children/requests-client.ts", CLIENT_CORE);
  const queues: Queue[] = [];
  const samples: Samples = {
    rivals: new Map(rivals.map((rival) => [rival, []])),
    requests: [],
    publishes: [],
    acknowledged: [],
    started: [],
    reportsCpu: [],
    outputCpu: [],
    output: [],
    attached: [],
  };
  try {
    const [port] = await Promise.all([server.ready, client.ready]);
    await client.ask("open", { to: port, count: LONG * (1 + WATCHERS) });
    for (const rival of rivals) {
      const queue = await rival.start();
      queues.push(queue);
      await queue.child.ready;
      await queue.child.ask("throughput", { ms: WARM_UP_MS, inFlight: IN_FLIGHT });
    }
    for (const what of ["publish", "requests"]) {
      await client.ask("throughput", { ms: WARM_UP_MS, inFlight: IN_FLIGHT, what });
    }
    for (let run = 1; run <= runs; run++) {
      progress(`requests: sample ${run} of ${runs}`);
      await throughput(client, samples);
      for (const [at, rival] of rivals.entries()) {
        const how = { ms: SAMPLE_MS, inFlight: IN_FLIGHT };
        const { perSecond } = await queues[at]!.child.ask<Throughput>("throughput", how);
        samples.rivals.get(rival)!.push(perSecond);
      }
    }
    // They would take their share of the cores from what follows.
    await Promise.all(queues.splice(0).map((queue) => queue.stop()));
    for (let run = 1; run <= Math.min(runs, 3); run++) {
      progress(`requests: latency, progress and output, ${run} of ${Math.min(runs, 3)}`);
      await measureLatencyAndOutput(server, client, samples);
    }
    progress(`requests: ${WAITING} that wait`);
    const before = await server.ask<Memory>("memory");
    await client.ask("store", WAITING);
    const { heap } = await server.ask<Memory>("memory");
    return evaluate(samples, (heap - before.heap) / 2 ** 20, runs);
  } finally {
    await Promise.all([server.stop(), client.stop(), ...queues.map((queue) => queue.stop())]);
    rmSync(folder, { recursive: true });
  }
}

async function throughput(client: Child, samples: Samples): Promise<void> {
  const how = { ms: SAMPLE_MS, inFlight: IN_FLIGHT };
  const publishes = await client.ask<Throughput>("throughput", { ...how, what: "publish" });
  const accepted = await client.ask<Throughput>("throughput", { ...how, what: "requests" });
  samples.publishes.push(publishes.perSecond);
  samples.requests.push(accepted.perSecond);
}

async function measureLatencyAndOutput(server: Child, client: Child, samples: Samples): Promise<void> {
  const acknowledged = await client.ask<number[]>("pace", { ms: PACED_MS, perSecond: PACE });
  samples.acknowledged.push(p99(acknowledged));
  samples.started.push(p99(await server.ask<number[]>("started", acknowledged.length)));
  const reports = { count: LONG, action: "reports", payload: { ms: LONG_MS, perSecond: 20 } };
  samples.reportsCpu.push(await cpuDuring(server, () => client.ask("run", reports)));
  const output = { answers: LONG, watchers: WATCHERS, count: 250, perSecond: 50 };
  samples.outputCpu.push(
    await cpuDuring(server, async () =>
      samples.output.push(await client.ask<OutputResult>("output", output)),
    ),
  );
  samples.attached.push(p99(await client.ask<number[]>("attach", { count: ANSWER, times: 200 })));
}

async function cpuDuring(server: Child, work: () => Promise<unknown>): Promise<number> {
  const before = await server.ask<Usage>("usage");
  await work();
  return cpuShare(before, await server.ask<Usage>("usage"));
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.POSITIVE_INFINITY;
}

function evaluate(samples: Samples, waitingMB: number, runs: number): Findings {
  const row = (what: string, values: readonly number[]): Row => ({
    what,
    "per second": median(values),
    "± %": spread(values),
  });
  const rivals = [...samples.rivals];
  const missing = RIVALS.filter((rival) => !samples.rivals.has(rival));
  const ratios = samples.requests.map((perSecond, at) => perSecond / samples.publishes[at]!);
  const outputP99 = median(samples.output.map((one) => one.p99));
  return {
    measure: "requests",
    runs,
    rows: [
      row("requests accepted and completed", samples.requests),
      row("publications stored", samples.publishes),
      ...rivals.map(([{ name }, values]) => row(name, values)),
    ],
    targets: [
      atLeast("requests, of the publications of the same run", 0.4, median(ratios)),
      ...rivals
        .filter(([{ isDurable }]) => isDurable)
        .map(([{ name }, values]) =>
          atLeast(`requests, of the jobs of ${name}`, 1, median(samples.requests) / median(values)),
        ),
      atMost(`p99 from call to acknowledgment at ${PACE}/s`, 10, median(samples.acknowledged), " ms"),
      atMost("p99 from call to the handler's start", 20, median(samples.started), " ms"),
      atMost(`CPU of ${LONG} requests that report 20 times a second`, 30, median(samples.reportsCpu), " %"),
      atMost(`heap of ${WAITING.toLocaleString("en")} that wait`, 20, waitingMB, " MB"),
      none(
        "tokens lost, doubled or out of order",
        samples.output.reduce((sum, { faults }) => sum + faults, 0),
      ),
      atMost("p99 from writing a token to receiving it", GATHER_MS + 30, outputP99, " ms"),
      atMost(
        `CPU of ${LONG} answers at 50 tokens/s with ${WATCHERS} watchers`,
        50,
        median(samples.outputCpu),
        " %",
      ),
      atMost(
        `p99 to attach to an answer of ${ANSWER.toLocaleString("en")} tokens`,
        50,
        median(samples.attached),
        " ms",
      ),
    ],
    notes: [
      LIMITS_OFF,
      `SQLite (WAL, synchronous FULL). ${IN_FLIGHT} in flight: a request is stored, acknowledged, claimed, run and completed.`,
      "Rivals: jobs added and completed by one process, without a client. With `always`, Redis waits for the disk; with `everysec`, it writes up to a second later.",
      ...missing.map(({ name }) => `Not measured, because its database is not installed: ${name}.`),
      `Output is gathered for ${GATHER_MS} ms. CPU is that of the server, in percent of a core.`,
    ],
  };
}
