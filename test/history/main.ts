import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { LambdaEmulatorError } from "../../src/lambda-emulator/index.ts";
import { CALM_MS, type RunOptions, run, SETTLE_MS } from "./run.ts";
import { FOUND, PLANTS } from "./seeded-bugs.ts";
import { openBacking, STORES, type StoreName } from "./stores.ts";

const MIN_SECONDS = 15;
/** Runs of a server with a bug. One may end before the bug has shown itself. */
const TRIES = 3;

const HELP = `npm run check:history -- [--seed n] [--seconds s] [--store ${STORES.join("|")}]

Lets clients publish and listen while connections are cut, the server is killed, and its store and its deliveries
fail; and judges from a log of it all whether a message was lost, doubled, out of order or another tenant's.

  --seed n      of what goes wrong and when (default: a random one)
  --seconds s   how long each store is checked, ${MIN_SECONDS} or more (default 60)
  --store name  one of ${STORES.join(", ")} (default: all, one after the other, until one
                has broken a promise); dynamodb is DynamoDB Local, which needs Java
  --bugs        checks the checker: puts each of ${PLANTS.length} bugs into the server or the client, and expects
                a violation; on sqlite, up to ${TRIES} runs of ${MIN_SECONDS} s for each
  --keep path   a folder to keep the log and the server's output in (default: kept of a run that fails)

Exits 1 when a promise is broken or too little has happened, 2 when it can't run.`;

class UsageError extends Error {}

interface Wanted extends Pick<RunOptions, "seed" | "seconds" | "plant"> {
  readonly stores: readonly StoreName[];
  readonly keep: string | undefined;
  readonly bugs: boolean;
}

function readArguments(args: readonly string[]): Wanted | undefined {
  const text = { type: "string" } as const;
  const options = {
    seed: text,
    seconds: text,
    store: text,
    keep: text,
    plant: text,
    bugs: { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values } = orUsage(() => parseArgs({ args: [...args], options }));
  if (values.help) return undefined;
  const { store, keep, plant, bugs = false } = values;
  if (store !== undefined && !(STORES as readonly string[]).includes(store)) {
    throw new UsageError(`no store ${store}; there are ${STORES.join(", ")}`);
  }
  return {
    seed: integer("--seed", values.seed, 0) ?? Math.floor(Math.random() * 2 ** 32),
    seconds: integer("--seconds", values.seconds, MIN_SECONDS) ?? 60,
    stores: store === undefined ? STORES : [store as StoreName],
    keep,
    plant,
    bugs,
  };
}

function orUsage<T>(parse: () => T): T {
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
  throw new UsageError(`${name} takes an integer of at least ${min}`);
}

/** @returns whether the store has kept its promises */
async function check(store: StoreName, { seed, seconds, keep, plant }: Wanted): Promise<boolean> {
  const folder = keep === undefined ? mkdtempSync(join(tmpdir(), "lift-ws-history-")) : join(keep, store);
  mkdirSync(folder, { recursive: true });
  console.log(`${store}: ${seconds} s with seed ${seed}`);
  const { backing, close } = await openBacking(store, folder);
  const { violations, tally, file } = await run({ seed, seconds, backing, folder, plant }).finally(close);
  const few = violations.length > 0 ? [] : tally.tooFew(seconds * 1_000 - CALM_MS - SETTLE_MS);
  const failed = violations.length + few.length > 0;
  for (const line of tally.lines()) console.log(line);
  for (const violation of violations) console.log(`BROKEN  ${violation}`);
  for (const what of few) console.log(`TOO FEW  ${what}`);
  if (failed) {
    console.log(`Again: npm run check:history -- --seed ${seed} --seconds ${seconds} --store ${store}`);
    console.log(`Log:   ${file}`);
  } else {
    console.log("  Nothing lost, doubled, out of order, in the wrong place or not told.");
    if (keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
  return !failed;
}

/** @returns whether the checker has found each bug */
async function checkBugs(seed: number): Promise<boolean> {
  const missed: string[] = [];
  for (const bug of PLANTS) {
    const violation = await findBug(bug, seed);
    console.log(
      `${violation === undefined ? "MISSED" : "found "}  ${bug}${violation ? `: ${violation}` : ""}`,
    );
    if (violation === undefined) missed.push(bug);
  }
  if (missed.length > 0) console.log(`Again: npm run check:history -- --bugs --seed ${seed}`);
  return missed.length === 0;
}

/** @returns the first violation that the bug explains */
async function findBug(bug: string, seed: number): Promise<string | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    const folder = mkdtempSync(join(tmpdir(), "lift-ws-bug-"));
    const { backing, close } = await openBacking("sqlite", folder);
    const options = { seed: seed + tries, seconds: MIN_SECONDS, backing, folder, plant: bug };
    const { violations } = await run(options).finally(close);
    rmSync(folder, { recursive: true, force: true });
    const violation = violations.find((text) => FOUND[bug]?.test(text));
    if (violation !== undefined) return violation;
  }
  return undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const wanted = readArguments(args);
  if (wanted === undefined) {
    console.log(HELP);
    return 0;
  }
  if (wanted.bugs) return (await checkBugs(wanted.seed)) ? 0 : 1;
  for (const store of wanted.stores) if (!(await check(store, wanted))) return 1;
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof LambdaEmulatorError)) throw error;
  console.error(`check:history: ${error.message}${error instanceof UsageError ? " (--help)" : ""}`);
  process.exitCode = 2;
}
