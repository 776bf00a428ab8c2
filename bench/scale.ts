/** Computes what large applications need on AWS: quotas, partitions, time and cost. Measures nothing itself. */
import { estimate } from "../src/cli/cost/estimate.ts";
import { listMembers, partitions, publishUnits } from "../src/cli/cost/streamer.ts";
import { DEFAULTS, toOperations, type Workload } from "../src/cli/cost/workload.ts";
import { fanOut, reconnect } from "./lib/crowd.ts";
import { QUOTAS } from "./lib/quotas.ts";
import type { Findings, Row } from "./lib/report.ts";

const SIZES = { "10 thousand": 1e4, "1 million": 1e6, "10 million": 1e7 };
/** For each connection. */
const MESSAGES_PER_MINUTE = 0.1;
const MONTH_SECONDS = 730 * 3_600;
/** Shards of a channel's members, each in a partition of its own. */
const SHARDS = 8;
/** With this memory, a function has a whole vCPU. */
const WHOLE_CPU_MB = 1_769;
const RAISED_CONNECTS = 10_000;

/** A row of the table: its value for each size, its limit, and where it comes from. */
function row(name: string, origin: string, limit: string, of: (connections: number) => string): Row {
  const values = Object.entries(SIZES).map(([size, connections]) => [size, of(connections)]);
  return { "": name, ...Object.fromEntries(values), "default quota": limit, origin };
}

function workloadOf(connections: number): Workload {
  return {
    ...DEFAULTS,
    connections,
    messagesPerMinute: MESSAGES_PER_MINUTE * connections,
    connectionMinutes: 60,
  };
}

export function scaleRows(): Row[] {
  const usage = (connections: number) => estimate(workloadOf(connections)).streamer.usage;
  const cost = (connections: number) => estimate(workloadOf(connections)).streamer.total;
  const connects = (connections: number) => toOperations(workloadOf(connections)).connects / MONTH_SECONDS;
  const publishes = (connections: number) => workloadOf(connections).messagesPerMinute / 60;
  const reconnected = (connections: number, accepted: number) => {
    const { seconds, attempts } = reconnect(connections, accepted, 60 * QUOTAS.connectionMinutes);
    return seconds === undefined ? "never" : `${duration(seconds)}, ${plural(attempts, "attempt")} each`;
  };
  const sent = (members: number, memory: number) => {
    const { seconds, runs } = fanOut(members, memory, QUOTAS.requestsPerSecond);
    return `${duration(seconds)}, ${plural(runs, "run")}`;
  };
  const of = { connects: count(QUOTAS.connectsPerSecond), requests: count(QUOTAS.requestsPerSecond) };
  const writes = (connections: number) =>
    publishes(connections) * publishUnits(workloadOf(connections)).writes;
  return [
    row("new connections a second", "computed", of.connects, (n) => count(connects(n))),
    row("API requests a second", "computed", of.requests, (n) =>
      count(usage(n).messages / MONTH_SECONDS + connects(n)),
    ),
    row("functions at a time", "computed", count(QUOTAS.functionsAtOnce), (n) =>
      count(usage(n).gbSeconds / (DEFAULTS.memory / 1_024) / MONTH_SECONDS),
    ),
    row("write units a second, messages' table", "computed", count(QUOTAS.tableWrites), (n) =>
      count(writes(n)),
    ),
    row("its partitions", "computed", "", (n) => count(partitions(workloadOf(n)))),
    row("cost of a month", "computed", "", (n) => `$${count(cost(n))}`),
    row("… for 1,000 connections", "computed", "", (n) => `$${count((1_000 * cost(n)) / n)}`),
    row("all reconnect, 500 a second", "simulated", of.connects, (n) =>
      reconnected(n, QUOTAS.connectsPerSecond),
    ),
    row(`all reconnect, ${count(RAISED_CONNECTS)} a second`, "simulated", of.connects, (n) =>
      reconnected(n, RAISED_CONNECTS),
    ),
    row("one channel with all: read units of its members", "computed", "", (n) =>
      count(listMembers(n).reads),
    ),
    row("… times a second that they can be read", "computed", "", (n) =>
      ((SHARDS * QUOTAS.partitionReads) / listMembers(n).reads).toFixed(2),
    ),
    row(`… a message to all, ${DEFAULTS.memory} MB`, "simulated", of.requests, (n) =>
      sent(n, DEFAULTS.memory),
    ),
    row(`… a message to all, ${count(WHOLE_CPU_MB)} MB`, "simulated", of.requests, (n) =>
      sent(n, WHOLE_CPU_MB),
    ),
  ];
}

export async function scale(runs: number): Promise<Findings> {
  return {
    measure: "scale",
    runs,
    rows: scaleRows(),
    targets: [],
    notes: [
      "For each connection: a message every ten minutes to ten recipients, at least once; a new connection after an hour.",
      "Units per operation: test/dynamodb/*costs.test.ts. Sends a second: the benchmark fanout. Quotas: lib/quotas.ts.",
      "Times of DynamoDB calls and sends are assumed, as in docs/operations/cost.md. Nothing has run on AWS.",
    ],
  };
}

/** Three significant digits below 100. */
function count(value: number): string {
  const rounded = value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
  return rounded.toLocaleString("en", { maximumFractionDigits: 3 });
}

function plural(value: number, noun: string): string {
  const rounded = Math.round(value);
  return `${rounded} ${noun}${rounded === 1 ? "" : "s"}`;
}

function duration(seconds: number): string {
  return seconds < 120 ? `${count(seconds)} s` : `${count(seconds / 60)} min`;
}
