import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { LambdaEmulatorError } from "../../src/lambda-emulator/index.ts";
import { CALM_MS, type RunOptions, run, SETTLE_MS } from "./run.ts";
import { EXPECTED_VIOLATIONS, SEEDED_BUGS } from "./seeded-bugs.ts";
import { prepareStore, STORES, type StoreName } from "./stores.ts";

const MIN_SECONDS = 15;
/** Runs for each seeded bug: one run may end before the bug shows. */
const MAX_RUNS = 5;

const HELP = `npm run check:history -- [--seed n] [--seconds s] [--store ${STORES.join("|")}]

Runs clients that publish, subscribe and make long requests while connections are cut, the server is killed, and its
store and deliveries fail. Then checks the log for messages, outputs and results that were lost, duplicated, out of order
or delivered to another tenant.

  --seed n      seed of the faults (default: random)
  --seconds s   duration for each store, at least ${MIN_SECONDS} (default 60)
  --store name  one of ${STORES.join(", ")} (default: all in turn, until one breaks a
                promise); dynamodb is DynamoDB Local, which needs Java
  --bugs        tests the checker: seeds each of ${SEEDED_BUGS.length} bugs in the server or the client and expects a
                violation; on sqlite, up to ${MAX_RUNS} runs of ${MIN_SECONDS} s for each bug
  --keep path   folder for the log and the server's output (default: kept only when a run fails)

Exits with 1 when a promise is broken or too few events happened, and with 2 when it cannot run.`;

class UsageError extends Error {}

interface Arguments extends Pick<RunOptions, "seed" | "seconds" | "bug"> {
  readonly stores: readonly StoreName[];
  readonly keep: string | undefined;
  readonly bugs: boolean;
}

function readArguments(args: readonly string[]): Arguments | undefined {
  const text = { type: "string" } as const;
  const options = {
    seed: text,
    seconds: text,
    store: text,
    keep: text,
    bug: text,
    bugs: { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values } = withUsageError(() => parseArgs({ args: [...args], options }));
  if (values.help) return undefined;
  const { store, keep, bug, bugs = false } = values;
  if (store !== undefined && !(STORES as readonly string[]).includes(store)) {
    throw new UsageError(`unknown store ${store}; expected one of ${STORES.join(", ")}`);
  }
  return {
    seed: integer("--seed", values.seed, 0) ?? Math.floor(Math.random() * 2 ** 32),
    seconds: integer("--seconds", values.seconds, MIN_SECONDS) ?? 60,
    stores: store === undefined ? STORES : [store as StoreName],
    keep,
    bug,
    bugs,
  };
}

function withUsageError<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function integer(name: string, value: string | undefined, min: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number >= min) return number;
  throw new UsageError(`${name} must be an integer of at least ${min}`);
}

/** @returns whether the store kept its promises */
async function check(store: StoreName, { seed, seconds, keep, bug }: Arguments): Promise<boolean> {
  const folder = keep === undefined ? mkdtempSync(join(tmpdir(), "lift-ws-history-")) : join(keep, store);
  mkdirSync(folder, { recursive: true });
  console.log(`${store}: ${seconds} s with seed ${seed}`);
  const { storeConfig, close } = await prepareStore(store, folder);
  const report = (line: string) => console.error(`  ${line}`);
  const options = { seed, seconds, storeConfig, folder, bug, report };
  const { violations, counts, file } = await run(options).finally(close);
  const shortfalls = violations.length > 0 ? [] : counts.shortfalls(seconds * 1_000 - CALM_MS - SETTLE_MS);
  const failed = violations.length + shortfalls.length > 0;
  for (const line of counts.lines()) console.log(line);
  for (const violation of violations) console.log(`BROKEN  ${violation}`);
  for (const shortfall of shortfalls) console.log(`TOO FEW  ${shortfall}`);
  if (failed) {
    console.log(`Repeat: npm run check:history -- --seed ${seed} --seconds ${seconds} --store ${store}`);
    console.log(`Log:   ${file}`);
  } else {
    console.log("  Every message was delivered once, in order and in its tenant, or its loss was reported.");
    if (keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
  return !failed;
}

/** @returns whether the checker found each bug */
async function checkBugs(seed: number): Promise<boolean> {
  const missed: string[] = [];
  for (const bug of SEEDED_BUGS) {
    const violation = await findBug(bug, seed);
    console.log(
      `${violation === undefined ? "MISSED" : "found "}  ${bug}${violation ? `: ${violation}` : ""}`,
    );
    if (violation === undefined) missed.push(bug);
  }
  if (missed.length > 0) console.log(`Repeat: npm run check:history -- --bugs --seed ${seed}`);
  return missed.length === 0;
}

/** @returns the first violation that the bug explains */
async function findBug(bug: string, seed: number): Promise<string | undefined> {
  for (let tries = 0; tries < MAX_RUNS; tries++) {
    const folder = mkdtempSync(join(tmpdir(), "lift-ws-bug-"));
    const { storeConfig, close } = await prepareStore("sqlite", folder);
    const options = { seed: seed + tries, seconds: MIN_SECONDS, storeConfig, folder, bug: bug };
    const { violations } = await run(options).finally(close);
    rmSync(folder, { recursive: true, force: true });
    const violation = violations.find((text) => EXPECTED_VIOLATIONS[bug]?.test(text));
    if (violation !== undefined) return violation;
  }
  return undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const parsed = readArguments(args);
  if (parsed === undefined) {
    console.log(HELP);
    return 0;
  }
  if (parsed.bugs) return (await checkBugs(parsed.seed)) ? 0 : 1;
  for (const store of parsed.stores) if (!(await check(store, parsed))) return 1;
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof LambdaEmulatorError)) throw error;
  console.error(`check:history: ${error.message}${error instanceof UsageError ? " (--help)" : ""}`);
  process.exitCode = 2;
}
