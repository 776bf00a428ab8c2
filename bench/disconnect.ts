/** Drops many connections in rooms with presence at once. Measures `/healthz` and the time until all have left. */
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { EnterRequest } from "./children/presence-client.ts";
import { CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import { fileLimit, requireFileLimit } from "./lib/machine.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { LIMITS_OFF } from "./lib/sides.ts";
import { median } from "./lib/stats.ts";

const SLOWEST_HEALTH_MS = 200;
/** Bare ws responds after about 300 ms for 10,000: Node handles sockets that close together in one turn. */
const MOST_OF_WS = 2;

const PER_ROOM = 100;
/** Open files of a server besides its connections: libraries, its store, requests of `/healthz`. */
const OTHER_FILES = 100;
/** Full rooms only, and at most as many connections as a process may open. */
const MOST = Math.floor(Math.min(20_000, fileLimit() - OTHER_FILES) / PER_ROOM) * PER_ROOM;

interface Case {
  readonly name: string;
  readonly connections: number;
  /** One in `oneIn` connections drops. */
  readonly oneIn: number;
}

const CASES: readonly Case[] = [
  { name: "10,000", connections: 10_000, oneIn: 1 },
  { name: MOST.toLocaleString("en"), connections: MOST, oneIn: 1 },
  { name: "5,000 of 10,000", connections: 10_000, oneIn: 2 },
];

interface Sample {
  /** The slowest response of `/healthz`, in ms. */
  readonly health: number;
  /** The longest turn of the server's event loop, in ms of CPU time. */
  readonly stall: number;
  /** Time until the last dropped connection left its room, in s. */
  readonly seconds: number;
  /** Difference from the expected number of members. */
  readonly wrong: number;
}

const SIDES = [
  { name: "Streamer", file: "children/presence-server.ts" },
  { name: "bare ws", file: "children/ws-members-server.ts" },
] as const;
type SideName = (typeof SIDES)[number]["name"];

export async function disconnect(runs: number, progress: (line: string) => void): Promise<Findings> {
  requireFileLimit(10_000 + OTHER_FILES);
  const rows: Row[] = [];
  const targets: Findings["targets"][number][] = [];
  for (const each of CASES) {
    const samples: { [Side in SideName]: Sample[] } = { Streamer: [], "bare ws": [] };
    for (let run = 1; run <= runs; run++) {
      progress(`disconnect: ${each.name}, round ${run} of ${runs}`);
      for (const { name, file } of SIDES) samples[name].push(await sample(file, each));
    }
    for (const { name } of SIDES) rows.push(row(each.name, name, samples[name]));
    const ratio = healthOf(samples.Streamer) / healthOf(samples["bare ws"]);
    const wrong = samples.Streamer.reduce((sum, it) => sum + it.wrong, 0);
    targets.push(
      atMost(`slowest /healthz, ${each.name}`, SLOWEST_HEALTH_MS, healthOf(samples.Streamer), " ms"),
      atMost(`slowest /healthz, ${each.name}, of bare ws`, MOST_OF_WS, ratio),
      none(`wrong members, ${each.name}`, wrong),
    );
  }
  const notes = [
    LIMITS_OFF,
    `Rooms of ${PER_ROOM} with presence, all stores in memory; bare ws only counts its sockets.`,
    "Each sample starts a new server. Node handles all closed sockets in one turn of its event loop.",
    `A process may open ${fileLimit().toLocaleString("en")} files, so the largest case has ${MOST.toLocaleString("en")} connections.`,
  ];
  return { measure: "disconnect", runs, rows, targets, notes };
}

function row(dropped: string, side: SideName, samples: readonly Sample[]): Row {
  return {
    dropped,
    side,
    "slowest /healthz, ms": healthOf(samples),
    "longest turn, CPU ms": median(samples.map(({ stall }) => stall)),
    "seconds, all left": median(samples.map(({ seconds }) => seconds)),
  };
}

function healthOf(samples: readonly Sample[]): number {
  return median(samples.map(({ health }) => health));
}

async function sample(file: string, { connections, oneIn }: Case): Promise<Sample> {
  const server = startChild(file, SERVER_CORE);
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

/** Requests `/healthz` in a loop. `stop` resolves to the slowest response time, in ms. */
function watchHealth(port: number): { readonly first: Promise<number>; stop(): Promise<number> } {
  const ask = async (): Promise<number> => {
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      // Each request opens a connection, as the probes of container platforms do.
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
