/** Measures the overhead of a framework per event, without a socket. */
import type { DispatchSample, Group } from "./children/dispatch-sides.ts";
import { SERVER_CORE, startChild } from "./lib/children.ts";
import { atMost, type Findings, type Row } from "./lib/report.ts";
import { median, spread } from "./lib/stats.ts";

const MANAGED = "Lift, the same on a managed connection";

/** Runs a comparison in a new process: compiled code varies more between processes than batches vary within one. */
async function ask(command: string, group?: Group): Promise<DispatchSample> {
  const child = startChild("children/dispatch-sides.ts", SERVER_CORE);
  await child.ready;
  const sample = await child.ask<DispatchSample>(command, group);
  await child.stop();
  return sample;
}

export async function dispatch(runs: number, progress: (line: string) => void): Promise<Findings> {
  const samples: DispatchSample[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`dispatch: sample ${run} of ${runs}`);
    // In a separate process, as an application is: code that other comparisons compiled would change the result.
    samples.push({
      ...(await ask("run", "frameworks")),
      ...(await ask("run", "connections")),
      ...(await ask("asWebSocket")),
    });
  }
  const ns = (side: string): number => median(samples.map((sample) => sample[side]!));
  const added = (side: string): number => ns(side) - ns("bare");
  const events = Object.keys(samples[0]!).filter((side) => side !== "asWebSocket");
  const rows = events.map(
    (side): Row => ({
      side,
      "ns/event": ns(side),
      "± %": spread(samples.map((sample) => sample[side]!)),
      "added to bare": added(side),
    }),
  );
  return {
    measure: "dispatch",
    runs,
    rows: [...rows, { side: "first asWebSocket() of an event", "ns/event": ns("asWebSocket") }],
    targets: [
      atMost("added by Lift with 5 middleware, of middy with 5", 0.6, added("Lift, 5") / added("middy, 5")),
      atMost("first asWebSocket() of an event", 20, ns("asWebSocket"), " ns"),
      atMost("added by a managed connection", 150, ns(MANAGED) - ns("Lift, an async handler"), " ns"),
    ],
    notes: [
      "middy's early timeout, on by default, creates a timer per event. It is off in the row of the target.",
      "A managed connection: rows in the memory store; the handler reads the user and one key of state.",
    ],
  };
}
