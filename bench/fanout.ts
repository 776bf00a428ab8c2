import { type Child, CLIENT_CORE, SERVER_CORE, startChild } from "./lib/children.ts";
import type { Memory, Usage } from "./lib/control.ts";
import type { FanoutResult, StubCounts } from "./lib/recipients.ts";
import { atLeast, atMost, type Findings, none, type Row } from "./lib/report.ts";
import { median, spread } from "./lib/stats.ts";

const RECIPIENTS = 10_000;
/** The sequential loop would take two minutes for all recipients. */
const LOOP_RECIPIENTS = 500;
const MB = 2 ** 20;

const NAMES = {
  noSdk: "Lift, its own transport",
  sdk: "Lift, through the SDK",
  bare: "SDK, 256 workers by hand",
  all: "SDK, Promise.all",
  loop: "SDK, one after another",
} as const;
type SideName = keyof typeof NAMES;

interface Side {
  readonly name: SideName;
  readonly child: Child;
  readonly recipients: number;
  readonly startBytes: number;
  /** For all recipients. */
  readonly ms: number[];
  readonly cpuMs: number[];
  /** Memory above the start: of the first fan-out, and of all. */
  readonly peaks: number[];
  missed: number;
  repeated: number;
  rowsLeft: number;
}

/** Measures a function that sends 10,000 messages over signed HTTP to an API in another process. */
export async function fanout(runs: number, progress: (line: string) => void): Promise<Findings> {
  const stub = startChild("children/post-stub.ts", CLIENT_CORE);
  const sides: Side[] = [];
  try {
    const port = await stub.ready;
    for (const name of Object.keys(NAMES) as SideName[]) sides.push(await startSide(name, port));
    for (let run = 0; run <= runs; run++) {
      progress(`fanout: round ${run} of ${runs}`);
      for (const side of sides) {
        // The slowest side varies little, so it runs once.
        if (side.name === "loop" && run > 1) continue;
        await round(side, stub, run);
      }
    }
    return evaluate(sides, runs);
  } finally {
    await Promise.all([stub, ...sides.map(({ child }) => child)].map((child) => child.stop()));
  }
}

async function startSide(name: SideName, port: number): Promise<Side> {
  const child = startChild("children/fanout-side.ts", SERVER_CORE, [name, String(port)]);
  await child.ready;
  const { rss } = await child.ask<Memory>("memory");
  const recipients = name === "loop" ? LOOP_RECIPIENTS : RECIPIENTS;
  const samples = { ms: [], cpuMs: [], peaks: [], missed: 0, repeated: 0, rowsLeft: 0 };
  return { name, child, recipients, startBytes: rss, ...samples };
}

/** Leaves out the first round, in which V8 compiles the code. */
async function round(side: Side, stub: Child, run: number): Promise<void> {
  const count = side.recipients;
  const before = await side.child.ask<Usage>("usage");
  const { ms, rowsLeft } = await side.child.ask<FanoutResult>("send", { round: run, count });
  const after = await side.child.ask<Usage>("usage");
  const seen = await stub.ask<StubCounts>("counts");
  side.rowsLeft += rowsLeft;
  side.repeated += seen.repeated;
  side.missed += count * 0.99 - seen.sent;
  if (seen.throttled !== count * 0.01) throw new Error(`${side.name}: the stub refused ${seen.throttled}`);
  side.peaks.push(((await side.child.ask<number>("peak")) - side.startBytes) / MB);
  if (run === 0) return;
  side.ms.push((ms * RECIPIENTS) / count);
  side.cpuMs.push((after.cpu - before.cpu) / 1000);
}

function evaluate(sides: readonly Side[], runs: number): Findings {
  const find = (name: SideName): Side => sides.find((side) => side.name === name)!;
  const seconds = (name: SideName): number => median(find(name).ms) / 1000;
  const ours = [find("noSdk"), find("sdk")];
  const total = (count: (side: Side) => number): number => ours.reduce((sum, side) => sum + count(side), 0);
  const rows = sides.map(
    ({ name, ms, cpuMs, peaks, missed, repeated, rowsLeft }): Row => ({
      side: NAMES[name],
      seconds: seconds(name),
      "± %": spread(ms),
      "messages/s": RECIPIENTS / seconds(name),
      "CPU ms": median(cpuMs),
      "peak MB over start": peaks[0]!,
      "of all rounds": peaks.at(-1)!,
      missed,
      twice: repeated,
      "gone rows left": rowsLeft,
    }),
  );
  return {
    measure: "fanout",
    runs,
    rows,
    targets: [
      atMost("10,000 recipients by Lift's own transport", 1.2, seconds("noSdk"), " s"),
      atLeast("times as fast as through the SDK", 3, seconds("sdk") / seconds("noSdk")),
      atMost("its peak memory over the process's own at start", 100, find("noSdk").peaks[0]!, " MB"),
      atMost("through the SDK, of bare SDK calls", 1.1, seconds("sdk") / seconds("bare")),
      none(
        "recipients missed by Lift, the throttled ones included",
        total(({ missed }) => missed),
      ),
      none(
        "rows of gone connections left by Lift",
        total(({ rowsLeft }) => rowsLeft),
      ),
    ],
    notes: [
      "The API is a stub on the other core that answers after 10 ms: 1 % of the connections are gone, 1 % throttled once.",
      "Concurrency 256; Promise.all and the loop have the SDK's default client, with 50 sockets.",
      `One after another: measured once for ${LOOP_RECIPIENTS} recipients and scaled to ${RECIPIENTS.toLocaleString("en")}. Its CPU time is not scaled.`,
      "Seconds are of a warm function. Memory is of its first fan-out, from its start to its peak.",
      "The service accepts 10,000 requests/s from an account.",
    ],
  };
}
