/** Measures echoes of 100 bytes over 100 connections, with one message in flight on each. */
import type { EchoResult } from "./children/client.ts";
import { cpuShare } from "./lib/children.ts";
import type { Usage } from "./lib/control.ts";
import { atLeast, type Findings, none, type Row } from "./lib/report.ts";
import {
  LIFT,
  LIMITS_OFF,
  SERVERLESS_OFFLINE,
  type Side,
  type SideSpec,
  SOCKET_IO,
  startSide,
  TCP,
  WS,
} from "./lib/sides.ts";
import { median, spread } from "./lib/stats.ts";

const CONNECTIONS = 100;
const SAMPLE_MS = 1_000;
const WARM_UP_MS = 3_000;

const IN_PROCESS: SideSpec = {
  ...SERVERLESS_OFFLINE,
  name: "serverless-offline, in process",
  args: ["--useInProcess"],
};
const SIDES = [LIFT, WS, SOCKET_IO, SERVERLESS_OFFLINE, IN_PROCESS, TCP];

interface Samples {
  readonly perSecond: number[];
  readonly clientCpu: number[];
  readonly serverCpu: number[];
}

export async function echo(runs: number, progress: (line: string) => void): Promise<Findings> {
  const sides: Side[] = [];
  const samples = new Map<string, Samples>();
  const refused = new Map<string, number>();
  try {
    for (const spec of SIDES) {
      progress(`echo: starting ${spec.name}`);
      const side = await startSide(spec, "echo");
      sides.push(side);
      samples.set(spec.name, { perSecond: [], clientCpu: [], serverCpu: [] });
      refused.set(spec.name, await side.open(CONNECTIONS));
      await side.client.ask("echo", WARM_UP_MS);
    }
    for (let run = 1; run <= runs; run++) {
      progress(`echo: sample ${run} of ${runs}`);
      for (const side of sides) await sample(side, samples.get(side.name)!);
    }
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
  return evaluate(samples, refused, runs);
}

async function sample({ server, client }: Side, into: Samples): Promise<void> {
  const before = await server.ask<Usage>("usage");
  const { perSecond, cpuPercent } = await client.ask<EchoResult>("echo", SAMPLE_MS);
  const after = await server.ask<Usage>("usage");
  into.perSecond.push(perSecond);
  into.clientCpu.push(cpuPercent);
  into.serverCpu.push(cpuShare(before, after));
}

function evaluate(samples: Map<string, Samples>, refused: Map<string, number>, runs: number): Findings {
  const rate = (side: SideSpec): number => median(samples.get(side.name)!.perSecond);
  const ratio = (rival: SideSpec): number => rate(LIFT) / rate(rival);
  const rows = [...samples].map(
    ([side, { perSecond, serverCpu, clientCpu }]): Row => ({
      side,
      "messages/s": median(perSecond),
      "± %": spread(perSecond),
      "server CPU %": median(serverCpu),
      "client CPU %": median(clientCpu),
      refused: refused.get(side)!,
    }),
  );
  return {
    measure: "echo",
    runs,
    rows,
    targets: [
      atLeast("messages/s through Lift, of bare ws", 0.7, ratio(WS)),
      atLeast("messages/s through Lift, of socket.io", 1.3, ratio(SOCKET_IO)),
      atLeast("messages/s through Lift, of serverless-offline", 20, ratio(SERVERLESS_OFFLINE)),
      none("connections that the gateway refused", refused.get(LIFT.name)!),
    ],
    notes: [
      LIMITS_OFF,
      "A client below 100 % of its core waits for its server, so the client does not limit the figure.",
      "serverless-offline echoes by a route response, its fastest way, in a worker thread per message in flight: the",
      "default, which the target compares. `in process` is its faster mode, without isolation or reloading.",
    ],
  };
}
