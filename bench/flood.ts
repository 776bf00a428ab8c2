/** Measures the effect of one client that sends as fast as it can on 1,000 quiet ones, beside bare ws. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FloodResult, QuietRequest, QuietResult } from "./children/flood-client.ts";
import { CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { median } from "./lib/stats.ts";

const SAMPLE_MS = 10_000;
const WARM_UP_MS = 1_000;
const QUIET = 1_000;

const STREAMER = "children/flood-server.ts";
const WS = "children/ws-members-server.ts";

interface Sample {
  readonly quiet: QuietResult;
  readonly flood: FloodResult | undefined;
  readonly loggedKB: number;
}

export async function flood(runs: number, progress: (line: string) => void): Promise<Findings> {
  const calm: Sample[] = [];
  const flooded: Sample[] = [];
  const bare: Sample[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`flood: run ${run} of ${runs}`);
    calm.push(await sample(STREAMER, false));
    flooded.push(await sample(STREAMER, true));
    bare.push(await sample(WS, true));
  }
  const worst = (values: (one: Sample) => number) => Math.max(...flooded.map(values));
  const p99OfWorst = worst(({ quiet }) => p99(quiet.answers));
  const slowestHealth = worst(({ quiet }) => Math.max(...quiet.health));
  const lost = worst(({ quiet }) => quiet.lost);
  const logged = worst(({ loggedKB }) => loggedKB);
  return {
    measure: "flood",
    runs,
    rows: [
      row("Streamer, no flood", calm),
      row("Streamer, one client floods", flooded),
      row("bare ws, one client floods", bare),
    ],
    targets: [
      atMost("the quiet clients' p99, worst run", 100, p99OfWorst, " ms"),
      atMost("/healthz, slowest", 200, slowestHealth, " ms"),
      none("missing responses to the quiet clients", lost),
      atMost("log of a run", 100, logged, " KB"),
      none("runs that closed the flooding client without a reason", unexplained(flooded)),
    ],
    notes: [
      "A Streamer on SQLite with a limit of 300 messages in ten seconds per connection. The gateway has its default limits.",
      "Bare ws parses each message and answers it. It stores nothing and has no limits.",
      "The flooding client sends 43-byte messages as fast as its socket accepts them, and reconnects when closed.",
      `${QUIET.toLocaleString("en")} quiet connections publish 200 messages/s together. /healthz is requested every 40 ms.`,
    ],
  };
}

/** Starts a new server for each sample, so that no state carries over. */
async function sample(file: string, withFlood: boolean): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  const server = startChild(file, SERVER_CORE, [join(folder, "channels.db")]);
  const quiet = startChild("children/flood-client.ts", CLIENT_CORE);
  const flooding = startChild("children/flood-client.ts", CLIENT_CORE);
  try {
    const [port] = await Promise.all([server.ready, quiet.ready, flooding.ready]);
    const endpoint = { protocol: "websocket", port, path: "/dev" } as const;
    const wanted: QuietRequest = { endpoint, count: QUIET, ms: SAMPLE_MS };
    await quiet.ask<QuietResult>("quiet", { ...wanted, ms: WARM_UP_MS });
    const [result, flood] = await Promise.all([
      quiet.ask<QuietResult>("quiet", wanted),
      withFlood ? flooding.ask<FloodResult>("flood", { endpoint, ms: SAMPLE_MS }) : undefined,
    ]);
    return { quiet: result, flood, loggedKB: (await server.ask<number>("logged")) / 1_000 };
  } finally {
    await Promise.all([server.stop(), quiet.stop(), flooding.stop()]);
    rmSync(folder, { recursive: true });
  }
}

function row(side: string, samples: readonly Sample[]): Row {
  const of = (value: (one: Sample) => number) => median(samples.map(value));
  return {
    side,
    "p99, ms": of(({ quiet }) => p99(quiet.answers)),
    "median, ms": of(({ quiet }) => (quiet.answers.length === 0 ? Number.NaN : median(quiet.answers))),
    "healthz max, ms": of(({ quiet }) => Math.max(...quiet.health)),
    lost: of(({ quiet }) => quiet.lost),
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
