import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { atLeast, none, type Target } from "../../bench/lib/report.ts";
import { LambdaEmulatorError } from "../../src/lambda-emulator/index.ts";
import { reportPage } from "./report.ts";
import { WINDOW_MS } from "./rollout-config.ts";
import { type RowsResult, rehearseRowsInMemory, rehearseRowsOnDynamoDB } from "./rows.ts";
import { runScenario, type ScenarioResult } from "./scenario.ts";
import type { Fault } from "./server.ts";

const FAULTS: readonly Fault[] = ["none", "errors", "latency", "connections"];
const TRIGGERS: { readonly [fault in Fault]?: RegExp } = {
  errors: /^error rate/,
  latency: /^latency increase/,
  connections: /^connection failure rate/,
};
const MAX_ROLLBACK_SECONDS = 60;

const HELP = `npm run rehearse -- [--out folder]

Rehearses a rollout on this machine, in about five minutes: clients on a gateway, an old and a new side, and rows written to
two stores, with cut-over and cut-back under load. The new side gets 5, 25, 50 and 100 % of the connections. In three
more rollouts it is made worse at 25 %: errors, latency, refused connections. Its commands are killed at every step. Then a
million rows are written to two stores in memory, and 20,000 to DynamoDB Local, which needs Java.

  --out folder  folder of the report (default dist/rehearsal)

Writes report.html, a page with charts. Exits with 1 when a target is missed, and with 2 when it cannot run.`;

class UsageError extends Error {}

function readArguments(args: readonly string[]): { readonly out: string; readonly help: boolean } {
  try {
    const options = { out: { type: "string" }, help: { type: "boolean" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    return { out: resolve(values.out ?? join("dist", "rehearsal")), help: values.help ?? false };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function progress(name: string): (line: string) => void {
  const start = performance.now();
  return (line) => console.error(`${Math.round((performance.now() - start) / 1_000)} s  ${name}: ${line}`);
}

async function rehearse(out: string): Promise<boolean> {
  const scenarios = await Promise.all(
    FAULTS.map((fault) => runScenario({ fault, progress: progress(nameOf(fault)) })),
  );
  const rows = [await rehearseRowsInMemory(progress("rows")), await rehearseRowsOnDynamoDB(progress("rows"))];
  const targets = evaluate(scenarios, rows);
  for (const { name, want, got, holds } of targets) {
    console.log(`${holds ? "met   " : "MISSED"}  ${name}: ${got} (wanted ${want})`);
  }
  mkdirSync(out, { recursive: true });
  const file = join(out, "report.html");
  writeFileSync(file, reportPage({ date: new Date().toISOString(), targets, scenarios, rows }));
  console.log(`Report: ${file}`);
  return targets.every(({ holds }) => holds);
}

function evaluate(scenarios: readonly ScenarioResult[], rows: readonly RowsResult[]): Target[] {
  const sum = (value: (one: ScenarioResult) => number) =>
    scenarios.reduce((total, one) => total + value(one), 0);
  const attempts = sum(({ load }) => load.attempts);
  const failed = sum(({ load, refused }) => load.failedAttempts - refused);
  const [sent, answered] = [sum(({ load }) => load.sent), sum(({ load }) => load.answered)];
  return [
    ...scenarios.flatMap(endTargets),
    none(
      "connections dropped by a switch",
      sum(({ load }) => load.dropped),
    ),
    {
      name: `connection attempts that failed, of ${attempts.toLocaleString("en")}; those refused on purpose do not count`,
      want: "< 0.01 %",
      got: `${((100 * failed) / attempts).toFixed(4)} %`,
      holds: failed / attempts < 0.0001,
    },
    {
      name: `messages answered, of ${sent.toLocaleString("en")}; a failed one is sent again`,
      want: "100 %",
      got: `${((100 * answered) / sent).toFixed(4)} %`,
      holds: answered === sent,
    },
    ...scenarios.map(({ fault, comparison: { rows, different } }) => ({
      name: `${nameOf(fault)}: rows of open connections that differ between the stores at the end`,
      want: "0",
      got: `${different} of ${rows}`,
      holds: different === 0 && rows > 0,
    })),
    ...rows.map(({ name, written, wrong }) =>
      none(`wrong rows of ${written.toLocaleString("en")} in ${name}, after cut-over and cut-back`, wrong),
    ),
  ];
}

function endTargets({
  fault,
  status,
  reason,
  faultAt = 0,
  badWindows,
  endedAt,
  seconds,
  kills,
  load,
}: ScenarioResult): Target[] {
  const trigger = TRIGGERS[fault];
  if (trigger === undefined) {
    const stages = [...new Set(seconds.map(({ percent }) => percent))].join(", ");
    const holds = status === "complete" && stages === "0, 5, 25, 50, 100";
    return [
      { name: `${nameOf(fault)}: stages in percent`, want: "0, 5, 25, 50, 100", got: stages, holds },
      atLeast(`${nameOf(fault)}: kills of the command`, 16, kills),
    ];
  }
  const after = endedAt - faultAt;
  return [
    {
      name: `${fault}: the reason for the rollback`,
      want: "this trigger",
      got: reason ?? `none, ${status}`,
      holds: status === "rolled back" && trigger.test(reason ?? ""),
    },
    {
      name: `${fault}: windows of ${WINDOW_MS / 1_000} s that were bad from their start`,
      want: "at most 1",
      got: String(badWindows),
      holds: badWindows <= 1,
    },
    {
      name: `${fault}: time until the rollback, with windows of ${WINDOW_MS / 1_000} s (default 5 min) and two kills in it`,
      want: `at most ${MAX_ROLLBACK_SECONDS} s`,
      got: `${after.toFixed(1)} s`,
      holds: after <= MAX_ROLLBACK_SECONDS,
    },
    atLeast(`${fault}: open connections that the rollback moved`, 1, load.moved),
    atLeast(`${fault}: kills of the command`, 10, kills),
  ];
}

function nameOf(fault: Fault): string {
  return fault === "none" ? "good new side" : fault;
}

try {
  const { out, help } = readArguments(process.argv.slice(2));
  if (help) console.log(HELP);
  else process.exitCode = (await rehearse(out)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError || error instanceof LambdaEmulatorError)) throw error;
  console.error(`rehearse: ${error.message}${error instanceof UsageError ? " (--help)" : ""}`);
  process.exitCode = 2;
}
