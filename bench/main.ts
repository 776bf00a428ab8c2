import { parseArgs } from "node:util";
import { broadcast } from "./broadcast.ts";
import { channels } from "./channels.ts";
import { coldstart } from "./coldstart.ts";
import { disconnect } from "./disconnect.ts";
import { dispatch } from "./dispatch.ts";
import { echo } from "./echo.ts";
import { fanout } from "./fanout.ts";
import { flood } from "./flood.ts";
import { type Findings, printJson, printTables } from "./lib/report.ts";
import { installRivals } from "./lib/rivals.ts";
import { local } from "./local.ts";
import { migration } from "./migration.ts";
import { promises } from "./promises.ts";
import { queue } from "./queue.ts";
import { recover } from "./recover.ts";
import { requests } from "./requests.ts";
import { scale } from "./scale.ts";
import { store } from "./store.ts";

interface Measure {
  readonly run: (runs: number, progress: (line: string) => void) => Promise<Findings>;
  /** Samples per side. `--runs` overrides it. */
  readonly runs: number;
  readonly about: string;
}

const MEASURES: ReadonlyMap<string, Measure> = new Map([
  ["dispatch", { run: dispatch, runs: 5, about: "overhead of Lift per event, beside middy" }],
  [
    "echo",
    { run: echo, runs: 11, about: "messages/s over 100 connections, beside ws, socket.io and others" },
  ],
  ["broadcast", { run: broadcast, runs: 31, about: "time and memory for 10,000 connections" }],
  ["store", { run: store, runs: 3, about: "connects, updates and lists in memory and DynamoDB, with units" }],
  ["fanout", { run: fanout, runs: 5, about: "10,000 messages over signed HTTP, beside the AWS SDK" }],
  ["coldstart", { run: coldstart, runs: 15, about: "first event of a function, beside one written by hand" }],
  [
    "channels",
    { run: channels, runs: 11, about: "publications stored and delivered, beside ws and socket.io" },
  ],
  ["requests", { run: requests, runs: 7, about: "long requests stored and run, their progress and output" }],
  [
    "queue",
    { run: queue, runs: 3, about: "a request that starts while 10,000 of another tenant wait, on DynamoDB" },
  ],
  ["flood", { run: flood, runs: 3, about: "a client that sends as fast as it can, beside 1,000 quiet ones" }],
  ["recover", { run: recover, runs: 5, about: "1,000 clients that reconnect and recover missed messages" }],
  [
    "disconnect",
    { run: disconnect, runs: 3, about: "10,000 and 20,000 connections that drop at once, with presence" },
  ],
  [
    "local",
    { run: local, runs: 9, about: "messages/s through a template run by `lift-ws local`, beside bundles" },
  ],
  [
    "migration",
    { run: migration, runs: 5, about: "four handlers written by hand, the old way and with Lift" },
  ],
  [
    "promises",
    {
      run: promises,
      runs: 1,
      about: "10,000 clients with faults for ten minutes: opened, delivered, errors",
    },
  ],
  [
    "scale",
    { run: scale, runs: 1, about: "quotas, time and cost of up to 10 million connections, computed" },
  ],
]);

/** Measures that run under one name. */
const GROUPS: ReadonlyMap<string, readonly string[]> = new Map([
  ["storm", ["flood", "disconnect"]],
  // Not the one of ten minutes a run.
  ["all", [...MEASURES.keys()].filter((name) => name !== "promises")],
]);

const WITHOUT_RIVALS: ReadonlySet<string> = new Set([
  "store",
  "queue",
  "recover",
  "flood",
  "disconnect",
  "local",
  "migration",
  "scale",
]);

const HELP = `npm run bench -- [measure] [--runs n] [--json]

${[...MEASURES].map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`).join("\n")}
  storm      flood and disconnect
  all        each of them except promises (the default)

  --runs n   samples per side (default ${[...MEASURES].map(([name, { runs }]) => `${name} ${runs}`).join(", ")})
  --json     one JSON object on stdout in place of tables

Exits 1 when a target is missed, 2 when it is called wrongly.`;

class UsageError extends Error {}

interface Wanted {
  readonly measure: string;
  readonly runs: number | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

function readArguments(args: readonly string[]): Wanted {
  const options = { runs: { type: "string" }, json: { type: "boolean" }, help: { type: "boolean" } } as const;
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "option" && !Object.hasOwn(options, token.name)) {
      throw new UsageError(`unknown option ${token.rawName}; expected --runs, --json or --help`);
    }
  }
  const [measure = "all", ...more] = positionals;
  if (more.length > 0) throw new UsageError(`expected one measure or all; got ${positionals.join(" ")}`);
  if (!MEASURES.has(measure) && !GROUPS.has(measure)) {
    throw new UsageError(
      `unknown measure ${measure}; expected one of ${[...MEASURES.keys(), ...GROUPS.keys()].join(", ")}`,
    );
  }
  // Without a value the option is `true`, which `Number` would accept.
  const runs = values.runs === undefined ? undefined : Number.parseInt(String(values.runs), 10);
  if (runs !== undefined && !(runs > 0)) {
    throw new UsageError("`--runs` must be an integer of at least 1");
  }
  return { measure, runs, json: values.json === true, help: values.help === true };
}

function progress(line: string): void {
  console.error(line);
}

async function main(args: readonly string[]): Promise<number> {
  const { measure, runs, json, help } = readArguments(args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const names = GROUPS.get(measure) ?? [measure];
  if (!names.every((name) => WITHOUT_RIVALS.has(name))) await installRivals(progress);
  const all: Findings[] = [];
  for (const name of names) {
    const { run, runs: byDefault } = MEASURES.get(name)!;
    all.push(await run(runs ?? byDefault, progress));
  }
  if (json) printJson(measure, all);
  else printTables(all);
  return all.every((found) => found.targets.every((target) => target.holds)) ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
