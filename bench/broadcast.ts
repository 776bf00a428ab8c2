/** Measures a broadcast to 10,000 connections until the last delivery, and the memory of an idle connection. */
import type { BroadcastResult } from "./children/client.ts";
import type { Memory, Usage } from "./lib/control.ts";
import { requireFileLimit } from "./lib/machine.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { LIFT, LIMITS_OFF, type Side, type SideSpec, SOCKET_IO, startSide, TCP, WS } from "./lib/sides.ts";
import { median, spread } from "./lib/stats.ts";

const CONNECTIONS = 10_000;
/** Opened and closed before the first memory reading, so that both readings include code and caches. */
const WARM_CONNECTIONS = 300;
const WARM_ROUNDS = 5;

interface Samples {
  readonly ms: number[];
  /** CPU time of the server per round, in ms. */
  readonly cpuMs: number[];
  lost: number;
}

interface Weight {
  /** Bytes per connection. */
  readonly heap: number;
  /** Bytes per connection. */
  readonly rss: number;
}

export async function broadcast(runs: number, progress: (line: string) => void): Promise<Findings> {
  requireFileLimit(CONNECTIONS + 200);
  const sides: Side[] = [];
  const samples = new Map<string, Samples>();
  const weights = new Map<string, Weight>();
  try {
    for (const spec of [LIFT, WS, SOCKET_IO, TCP]) {
      progress(`broadcast: opening ${CONNECTIONS} connections to ${spec.name}`);
      const side = await startSide(spec, "broadcast");
      sides.push(side);
      weights.set(spec.name, await weigh(side));
      samples.set(spec.name, { ms: [], cpuMs: [], lost: 0 });
    }
    for (let run = 1 - WARM_ROUNDS; run <= runs; run++) {
      if (run % 10 === 0) progress(`broadcast: round ${run} of ${runs}`);
      for (const side of sides) await round(side, run > 0 ? samples.get(side.name)! : undefined);
    }
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
  return evaluate(samples, weights, runs);
}

async function weigh({ server, client, open }: Side): Promise<Weight> {
  await open(WARM_CONNECTIONS);
  for (let i = 0; i < WARM_ROUNDS; i++) await client.ask("broadcast");
  await client.ask("close");
  const before = await server.ask<Memory>("memory");
  await open(CONNECTIONS);
  const after = await server.ask<Memory>("memory");
  return {
    heap: (after.heap - before.heap) / CONNECTIONS,
    rss: (after.rss - before.rss) / CONNECTIONS,
  };
}

async function round({ server, client }: Side, into: Samples | undefined): Promise<void> {
  const before = await server.ask<Usage>("usage");
  const { ms, lost } = await client.ask<BroadcastResult>("broadcast");
  const after = await server.ask<Usage>("usage");
  if (into === undefined) return;
  into.ms.push(ms);
  into.cpuMs.push((after.cpu - before.cpu) / 1000);
  into.lost += lost;
}

function evaluate(samples: Map<string, Samples>, weights: Map<string, Weight>, runs: number): Findings {
  const time = (side: SideSpec): number => median(samples.get(side.name)!.ms);
  const weight = (side: SideSpec): number => weights.get(side.name)!.heap / 1024;
  const rows = [...samples].map(
    ([side, { ms, cpuMs, lost }]): Row => ({
      side,
      "last receiver ms": median(ms),
      "± %": spread(ms),
      "server CPU ms": median(cpuMs),
      lost,
      "KB/connection": weights.get(side)!.heap / 1024,
      "RSS KB/connection": weights.get(side)!.rss / 1024,
    }),
  );
  return {
    measure: "broadcast",
    runs,
    rows,
    targets: [
      atMost("last receiver through Lift, of bare TCP", 1.15, time(LIFT) / time(TCP)),
      none("messages lost by Lift", samples.get(LIFT.name)!.lost),
      atMost("memory per idle connection over bare ws", 3, weight(LIFT) - weight(WS), " KB"),
    ],
    notes: [
      LIMITS_OFF,
      `${CONNECTIONS} receivers on one tenant, listed from the memory store for every message; 100 bytes of text.`,
      "KB/connection is heap and external memory after a full collection. RSS includes pages that V8 keeps for later.",
    ],
  };
}
