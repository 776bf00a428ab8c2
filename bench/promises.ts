/** Measures the promises of the project's plan, each as its row says: connections, deliveries, errors, a broadcast. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { broadcast } from "./broadcast.ts";
import type { LoadRequest, OpenRequest, PromiseCounts } from "./children/promises-client.ts";
import { CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import { requireFileLimit } from "./lib/machine.ts";
import { atLeast, type Findings, none, type Row } from "./lib/report.ts";

const CONNECTIONS = 10_000;
const PER_ROOM = 100;
const MINUTES = 10;
/** Below the gateway's limit of 500, with room for reconnects. */
const OPENED_PER_SECOND = 300;
const PUBLICATIONS_PER_SECOND = 20;
/** 90,000 lost connections in ten minutes, so that with the first ones there are 100,000 attempts. */
const RESETS_PER_SECOND = 120;
const DISCONNECTS_PER_SECOND = 40;
const STALLS_PER_SECOND = 20;
const LOSS_RATE = 0.01;
const MIN_ATTEMPTS = 100_000;
const BROADCAST_ROUNDS = 31;

interface Sample extends PromiseCounts {
  /** Messages to members that the server lost on purpose. */
  readonly lost: number;
}

export async function promises(runs: number, progress: (line: string) => void): Promise<Findings> {
  requireFileLimit(CONNECTIONS + 200);
  const samples: Sample[] = [];
  for (let run = 1; run <= runs; run++) {
    samples.push(await sample((line) => progress(`promises: run ${run} of ${runs}, ${line}`)));
  }
  const { targets } = await broadcast(BROADCAST_ROUNDS, progress);
  const lastReceiver = targets.find(({ name }) => name.startsWith("last receiver"));
  if (lastReceiver === undefined)
    throw new Error("The benchmark `broadcast` has no target for the last receiver");
  const least = (value: (one: Sample) => number) => Math.min(...samples.map(value));
  const errors = Math.max(...samples.map(errorRate));
  return {
    measure: "promises",
    runs,
    rows: samples.map(row),
    targets: [
      atLeast(
        "connection attempts, fewest of a run",
        MIN_ATTEMPTS,
        least(({ attempts }) => attempts),
      ),
      share("connection reliability, worst run", 99.99, least(reliability)),
      share("delivery, worst run", 99.95, least(delivery)),
      none(
        "messages delivered twice or out of order",
        samples.reduce((total, { doubled }) => total + doubled, 0),
      ),
      { name: "errors, worst run", want: "< 0.1 %", got: precise(errors), holds: errors < 0.1 },
      lastReceiver,
    ],
    notes: [
      `${CONNECTIONS.toLocaleString("en")} of the product's clients in rooms of ${PER_ROOM}, with a heartbeat every minute, on a Streamer with SQLite, for ${MINUTES} minutes. All limits of the gateway have their defaults.`,
      "Connection reliability: attempts to open a connection that opened one, of all attempts. No attempt is disturbed on purpose.",
      "Delivery: messages that members received, live or recovered, of stored messages times members. Everybody is a member from before the first message to the end, also while disconnected.",
      "Errors: error frames, and publications that the client gave up, of all messages that the clients sent.",
      `Faults, per second: ${RESETS_PER_SECOND} connections reset by the client, ${DISCONNECTS_PER_SECOND} closed by the server, ${STALLS_PER_SECOND} clients that read nothing for up to 2 s. ${100 * LOSS_RATE} % of the messages to members are lost.`,
      "The broadcast is that of `npm run bench -- broadcast`: 10,000 receivers, beside bare TCP.",
      ...samples.flatMap(({ reasons }) => reasons),
    ],
  };
}

/** Starts a new server for each sample, so that no state carries over. */
async function sample(progress: (line: string) => void): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  const database = join(folder, "channels.db");
  const server = startChild("children/promises-server.ts", SERVER_CORE, [database, String(LOSS_RATE)]);
  const client = startChild("children/promises-client.ts", CLIENT_CORE);
  try {
    const [port] = await Promise.all([server.ready, client.ready]);
    progress(`opening ${CONNECTIONS.toLocaleString("en")} connections`);
    const open = { port, count: CONNECTIONS, perRoom: PER_ROOM, perSecond: OPENED_PER_SECOND };
    await client.ask("open", open satisfies OpenRequest);
    const load = {
      ms: 1_000,
      publicationsPerSecond: PUBLICATIONS_PER_SECOND,
      resetsPerSecond: RESETS_PER_SECOND,
      stallsPerSecond: STALLS_PER_SECOND,
    } satisfies LoadRequest;
    for (let second = 0; second < 60 * MINUTES; second++) {
      if (second % 60 === 0) progress(`minute ${second / 60 + 1} of ${MINUTES}`);
      await Promise.all([client.ask("load", load), server.ask("disconnect", DISCONNECTS_PER_SECOND)]);
    }
    progress("waiting for the last messages");
    const counts = await client.ask<PromiseCounts>("settle");
    return { ...counts, lost: await server.ask<number>("lost") };
  } finally {
    await Promise.all([server.stop(), client.stop()]);
    rmSync(folder, { recursive: true });
  }
}

function row(one: Sample): Row {
  return {
    attempts: one.attempts,
    "opened, %": precise(reliability(one)),
    "messages stored": one.expected / PER_ROOM,
    "deliveries expected": one.expected,
    "lost on purpose": one.lost,
    "received, %": precise(delivery(one)),
    requests: one.requests,
    "errors, %": precise(errorRate(one)),
  };
}

function reliability({ attempts, opened }: Sample): number {
  return (100 * opened) / attempts;
}

function delivery({ expected, received }: Sample): number {
  return (100 * received) / expected;
}

function errorRate({ requests, errors }: Sample): number {
  return (100 * errors) / requests;
}

function share(name: string, limit: number, got: number): Findings["targets"][number] {
  return { name, want: `≥ ${limit} %`, got: precise(got), holds: got >= limit };
}

/** A share near 100 % is about its last digits, so it is cut, not rounded. */
function precise(percent: number): string {
  return (Math.floor(percent * 10_000) / 10_000).toFixed(4);
}
