/** Measures stored publications with 10 and 100 members, beside servers that store nothing. */
import type { PaceResult, PublishResult } from "./children/channels-client.ts";
import { cpuShare } from "./lib/children.ts";
import type { Usage } from "./lib/control.ts";
import { atLeast, atMost, type Findings, none, type Row } from "./lib/report.ts";
import { type RoomSide, type RoomSpec, STREAMER, startRoom } from "./lib/rooms.ts";
import { LIMITS_OFF, SOCKET_IO, WS } from "./lib/sides.ts";
import { median, spread } from "./lib/stats.ts";

const SAMPLE_MS = 1_000;
const WARM_UP_MS = 2_000;
const PACED_MS = 3_000;
const ROOM = 100;
const SPEAKERS = 10;
const FEW = 10;
/** Publishers beside the few subscribers: the number of concurrent publications. */
const WRITERS = 32;

const SIDES: readonly RoomSpec[] = [STREAMER, WS, { ...SOCKET_IO, file: "rivals/socketio-rooms.mjs" }];

interface Samples {
  readonly published: number[];
  readonly delivered: number[];
  readonly serverCpu: number[];
  readonly clientCpu: number[];
}

export async function channels(runs: number, progress: (line: string) => void): Promise<Findings> {
  const sides: RoomSide[] = [];
  const rooms = new Map<string, Samples>();
  const few: Samples = newSamples();
  const paced: PaceResult[] = [];
  try {
    const keeping = await startRoom(STREAMER);
    sides.push(keeping);
    await keeping.open(WRITERS + FEW);
    // The first connections publish and do not join the room.
    await keeping.client.ask("subscribe", FEW);
    for (const spec of SIDES) {
      progress(`channels: starting ${spec.name}`);
      const side = await startRoom(spec);
      sides.push(side);
      await side.open(ROOM);
      if (spec === STREAMER) await side.client.ask("subscribe", ROOM);
      rooms.set(spec.name, newSamples());
      await side.client.ask("publish", { ms: WARM_UP_MS, publishers: SPEAKERS, until: "received" });
    }
    const [, streamer, ...rivals] = sides as [RoomSide, RoomSide, ...RoomSide[]];
    for (let run = 1; run <= runs; run++) {
      progress(`channels: sample ${run} of ${runs}`);
      await sample(keeping, few, { publishers: WRITERS, until: "answered" });
      for (const side of [streamer, ...rivals]) {
        await sample(side, rooms.get(side.name)!, { publishers: SPEAKERS, until: "received" });
      }
    }
    const half = median(rooms.get(STREAMER.name)!.published) / 2;
    for (let run = 1; run <= Math.min(runs, 5); run++) {
      progress(`channels: at half the rate, ${run} of ${Math.min(runs, 5)}`);
      const wanted = { ms: PACED_MS, publishers: SPEAKERS, perSecond: half };
      paced.push(await streamer.client.ask<PaceResult>("pace", wanted));
    }
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
  return evaluate(few, rooms, paced, runs);
}

function newSamples(): Samples {
  return { published: [], delivered: [], serverCpu: [], clientCpu: [] };
}

async function sample({ server, client }: RoomSide, into: Samples, how: object): Promise<void> {
  const before = await server.ask<Usage>("usage");
  const result = await client.ask<PublishResult>("publish", { ms: SAMPLE_MS, ...how });
  const after = await server.ask<Usage>("usage");
  into.published.push(result.perSecond);
  into.delivered.push(result.deliveriesPerSecond);
  into.clientCpu.push(result.cpuPercent);
  into.serverCpu.push(cpuShare(before, after));
}

function evaluate(
  few: Samples,
  rooms: ReadonlyMap<string, Samples>,
  paced: readonly PaceResult[],
  runs: number,
): Findings {
  const row = (side: string, room: number, samples: Samples): Row => ({
    side,
    members: room,
    "publishes/s": median(samples.published),
    "deliveries/s": median(samples.delivered),
    "± %": spread(samples.delivered),
    "server CPU %": median(samples.serverCpu),
    "client CPU %": median(samples.clientCpu),
  });
  const delivered = (spec: RoomSpec) => median(rooms.get(spec.name)!.delivered);
  const p99 = median(paced.map((one) => one.p99));
  const lost = paced.reduce((sum, { expected, received }) => sum + expected - received, 0);
  return {
    measure: "channels",
    runs,
    rows: [row(STREAMER.name, FEW, few), ...[...rooms].map(([side, samples]) => row(side, ROOM, samples))],
    targets: [
      atLeast("stored publishes/s, 10 members", 2_000, median(few.published)),
      atLeast("deliveries/s in a room of 100, of bare ws", 0.6, delivered(STREAMER) / delivered(WS)),
      atMost("p99 from publish to receive at half of that", 20, p99, " ms"),
      none("messages lost", lost),
    ],
    notes: [
      LIMITS_OFF,
      `At-least-once: stored in SQLite (WAL, synchronous FULL), then answered and sent. ${WRITERS} publications in flight`,
      `with ${FEW} members, ${SPEAKERS} with ${ROOM}. ws stores nothing, socket.io stores in memory.`,
      `At half of ${STREAMER.name}'s rate, median of the runs: p99 ${p99.toFixed(1)} ms, median ${median(paced.map((one) => one.median)).toFixed(1)} ms.`,
    ],
  };
}
