/** Drops a thousand connections at once. Measures the time until each has recovered its 50 missed messages. */
import type { RecoverResult } from "./children/channels-client.ts";
import { atMost, type Findings, none } from "./lib/report.ts";
import { STREAMER, startRoom } from "./lib/rooms.ts";
import { LIMITS_OFF } from "./lib/sides.ts";
import { median, spread } from "./lib/stats.ts";

const CLIENTS = 1_000;
const MISSED = 50;

export async function recover(runs: number, progress: (line: string) => void): Promise<Findings> {
  const side = await startRoom(STREAMER);
  const samples: RecoverResult[] = [];
  try {
    await side.open(CLIENTS);
    await side.client.ask("subscribe", CLIENTS);
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? "recover: once to warm up" : `recover: round ${run} of ${runs}`);
      const result = await side.client.ask<RecoverResult>("recover", { missed: MISSED, atOnce: 200 });
      if (run > 0) samples.push(result);
    }
  } finally {
    await side.stop();
  }
  const seconds = samples.map(({ ms }) => ms / 1_000);
  return {
    measure: "recover",
    runs,
    rows: [
      {
        side: STREAMER.name,
        clients: CLIENTS,
        "missed each": MISSED,
        "seconds, all": median(seconds),
        "± %": spread(seconds),
      },
    ],
    targets: [
      atMost("until all have recovered", 3, median(seconds), " s"),
      none(
        "connections that did not recover",
        samples.reduce((sum, { incomplete }) => sum + incomplete, 0),
      ),
    ],
    notes: [
      LIMITS_OFF,
      "From the first upgrade request to the last message, with 200 concurrent handshakes.",
    ],
  };
}
