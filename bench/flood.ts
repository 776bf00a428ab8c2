/** Measures the effect of one client that sends as fast as it can on the others. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FloodResult, PoliteResult } from "./children/flood-client.ts";
import { CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { median } from "./lib/stats.ts";

const SAMPLE_MS = 10_000;

interface Sample {
  readonly polite: PoliteResult;
  readonly flood: FloodResult | undefined;
  readonly loggedKB: number;
}

export async function flood(runs: number, progress: (line: string) => void): Promise<Findings> {
  const calm: Sample[] = [];
  const flooded: Sample[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`flood: run ${run} of ${runs}`);
    calm.push(await sample(false));
    flooded.push(await sample(true));
  }
  const rows = [row("no flood", calm), row("one client floods", flooded)];
  const worst = (values: (one: Sample) => number) => Math.max(...flooded.map(values));
  return {
    measure: "flood",
    runs,
    rows,
    targets: [
      atMost(
        "another client's p99, worst run",
        100,
        worst(({ polite }) => p99(polite.answers)),
        " ms",
      ),
      atMost(
        "/healthz, slowest",
        200,
        worst(({ polite }) => Math.max(...polite.health)),
        " ms",
      ),
      none(
        "missing responses to another client",
        worst(({ polite }) => polite.lost),
      ),
      atMost(
        "log of a run",
        100,
        worst(({ loggedKB }) => loggedKB),
        " KB",
      ),
      none("runs that closed the flooding client without a reason", unexplained(flooded)),
    ],
    notes: [
      "A Streamer on SQLite with a limit of 300 messages in ten seconds per connection. The gateway has its default limits.",
      "The flooding client sends 43-byte messages as fast as its socket accepts them, and reconnects when closed.",
      "The other client publishes every 40 ms and requests /healthz as often.",
    ],
  };
}

/** Starts a new server for each sample, so that no state carries over. */
async function sample(withFlood: boolean): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  const server = startChild("children/flood-server.ts", SERVER_CORE, [join(folder, "channels.db")]);
  const polite = startChild("children/flood-client.ts", CLIENT_CORE);
  const flooding = startChild("children/flood-client.ts", CLIENT_CORE);
  try {
    const [port] = await Promise.all([server.ready, polite.ready, flooding.ready]);
    const endpoint = { protocol: "websocket", port, path: "/dev" };
    const wanted = { endpoint, ms: SAMPLE_MS };
    await polite.ask<PoliteResult>("polite", { endpoint, ms: 500 });
    const [result, flood] = await Promise.all([
      polite.ask<PoliteResult>("polite", wanted),
      withFlood ? flooding.ask<FloodResult>("flood", wanted) : undefined,
    ]);
    return { polite: result, flood, loggedKB: (await server.ask<number>("logged")) / 1_000 };
  } finally {
    await Promise.all([server.stop(), polite.stop(), flooding.stop()]);
    rmSync(folder, { recursive: true });
  }
}

function row(side: string, samples: readonly Sample[]): Row {
  const of = (value: (one: Sample) => number) => median(samples.map(value));
  return {
    side,
    "p99, ms": of(({ polite }) => p99(polite.answers)),
    "median, ms": of(({ polite }) => median(polite.answers)),
    "healthz max, ms": of(({ polite }) => Math.max(...polite.health)),
    lost: of(({ polite }) => polite.lost),
    "log, KB": of(({ loggedKB }) => loggedKB),
    "sent, MB": of(({ flood }) => (flood?.bytes ?? 0) / 1e6),
    closed: of(({ flood }) => flood?.closed ?? 0),
  };
}

function unexplained(samples: readonly Sample[]): number {
  return samples.filter(({ flood }) => flood?.isExplained !== true).length;
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.POSITIVE_INFINITY;
}
