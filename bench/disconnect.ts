/** Many connections in rooms with presence drop at once: how long `/healthz` waits, and until all have left. */
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { EnterRequest } from "./children/presence-client.ts";
import { CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import { requireFileLimit } from "./lib/machine.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { LIMITS_OFF } from "./lib/sides.ts";
import { median } from "./lib/stats.ts";

const HEALTH_MS = 200;
/** One in `oneIn` connections drops. */
const CASES = [
  { name: "10,000", connections: 10_000, oneIn: 1 },
  { name: "19,000", connections: 19_000, oneIn: 1 },
  { name: "5,000 of 10,000", connections: 10_000, oneIn: 2 },
] as const;
type Case = (typeof CASES)[number];

const PER_ROOM = 100;

interface Sample {
  /** The slowest answer of `/healthz`, in ms. */
  readonly health: number;
  /** The longest turn of the server's event loop, in ms of CPU time. */
  readonly stall: number;
  /** Until the last dropped connection was no member any more, in s. */
  readonly seconds: number;
  /** Members too many or too few. */
  readonly wrong: number;
}

export async function disconnect(runs: number, progress: (line: string) => void): Promise<Findings> {
  requireFileLimit(19_500);
  const rows: Row[] = [];
  const targets: Findings["targets"][number][] = [];
  for (const each of CASES) {
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      progress(`disconnect: ${each.name}, round ${run} of ${runs}`);
      samples.push(await sample(each));
    }
    const health = Math.max(...samples.map((it) => it.health));
    rows.push({
      dropped: each.name,
      "slowest /healthz, ms": health,
      "longest turn, CPU ms": Math.max(...samples.map(({ stall }) => stall)),
      "seconds, all left": median(samples.map(({ seconds }) => seconds)),
    });
    const wrong = samples.reduce((sum, it) => sum + it.wrong, 0);
    targets.push(
      atMost(`slowest /healthz, ${each.name}`, HEALTH_MS, health, " ms"),
      none(`wrong members, ${each.name}`, wrong),
    );
  }
  const rooms = `Rooms of ${PER_ROOM} with presence, all stores in memory.`;
  const notes = [
    LIMITS_OFF,
    rooms,
    "Each sample has a server of its own; slowest and longest are of all samples.",
  ];
  return { measure: "disconnect", runs, rows, targets, notes };
}

async function sample({ connections, oneIn }: Case): Promise<Sample> {
  const server = startChild("children/presence-server.ts", SERVER_CORE);
  const client = startChild("children/presence-client.ts", CLIENT_CORE);
  try {
    const [port] = await Promise.all([server.ready, client.ready]);
    const endpoint = { protocol: "websocket", port, path: "/dev" } as const;
    const request: EnterRequest = { endpoint, count: connections, perRoom: PER_ROOM, atOnce: 100 };
    await client.ask("enter", request);
    const rooms = connections / PER_ROOM;
    const health = watchHealth(port);
    await health.first;
    await server.ask("watch");
    const start = performance.now();
    const left = connections - (await client.ask<number>("drop", oneIn));
    const end = start + 60_000;
    let members = await server.ask<number>("members", rooms);
    while (members > left && performance.now() < end) {
      await sleep(20);
      members = await server.ask<number>("members", rooms);
    }
    const seconds = (performance.now() - start) / 1_000;
    const stall = await server.ask<number>("stall");
    return { health: await health.stop(), stall, seconds, wrong: Math.abs(members - left) };
  } finally {
    await Promise.all([server.stop(), client.stop()]);
  }
}

/** Asks for `/healthz` again and again; `stop` resolves to the longest that an answer took, in ms. */
function watchHealth(port: number): { readonly first: Promise<number>; stop(): Promise<number> } {
  const ask = async (): Promise<number> => {
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      // A connection of its own, as the probes of container platforms have.
      const request = get({ port, path: "/healthz", agent: false });
      request.once("error", reject).once("response", (response) => response.resume().once("end", resolve));
    });
    return performance.now() - start;
  };
  const first = ask();
  let running = true;
  const worst = (async () => {
    let slowest = 0;
    await first;
    while (running) {
      slowest = Math.max(slowest, await ask());
      await sleep(5);
    }
    return slowest;
  })();
  worst.catch(() => {});
  return {
    first,
    stop: () => {
      running = false;
      return worst;
    },
  };
}
