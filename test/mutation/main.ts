// npm run mutate -- <part>: would the tests notice when the code is wrong?
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { loadInstrumenter } from "./instrumenter.ts";
import { drawMutants, instrument, type Mutant } from "./mutants.ts";
import { PARTS, type Part } from "./parts.ts";
import { type MutantResult, MutationRunner } from "./runner.ts";

const ROOT = join(import.meta.dirname, "../..");
const SEED = 20_261_128;
const COUNT = 150;

const HELP = `Usage: npm run mutate -- <part> [--count n] [--seed n] [--only id,id] [--json file]

Changes the code of a part in one place at a time, and runs its tests: the ones that fail kill the mutant.

  part     ${Object.keys(PARTS).join(", ")}
  --count  mutants to draw; default ${COUNT}
  --seed   of the draw; default ${SEED}
  --only   runs these mutants, by id, in place of a draw
  --json   also writes each mutant and its outcome to a file
`;

interface TriedMutant extends Mutant, MutantResult {}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const INTERRUPTED = 130;

async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const part = PARTS[positionals[0] ?? ""];
  const [count, seed] = [Number(values.count), Number(values.seed)];
  if (part === undefined || positionals.length !== 1 || !Number.isInteger(count) || !Number.isInteger(seed)) {
    process.stderr.write(HELP);
    return 2;
  }
  // Nothing is decided yet, but the copy is removed.
  for (const signal of SIGNALS) process.once(signal, () => process.exit(INTERRUPTED));
  const copy = copyTree();
  process.once("exit", () => rmSync(copy, { recursive: true, force: true }));
  const all = await instrument(await loadInstrumenter(), copy, sourcesOf(part));
  const only = values.only?.split(",");
  const drawn = only ? all.filter(({ id }) => only.includes(id)) : drawMutants(all, count, seed);
  process.stdout.write(`${all.length} mutants, ${drawn.length} drawn with seed ${seed}\n`);
  const { tried, isInterrupted } = await tryAll(copy, part, drawn);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(tried, undefined, 2)}\n`);
  for (const one of tried) if (one.outcome !== "killed") print(one);
  printScore(tried, drawn.length);
  return isInterrupted ? INTERRUPTED : 0;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        count: { type: "string", default: String(COUNT) },
        seed: { type: "string", default: String(SEED) },
        only: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

/** Copies the tree, uncommitted changes included, so that the sources can be replaced. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "lift-ws-mutate-"));
  const list = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const file of list.split("\n").filter(Boolean)) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(ROOT, file), join(copy, file), { force: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}

function sourcesOf({ sources, except = [] }: Part): string[] {
  const files = sources.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }));
  return files
    .filter((file) => !/\.(test|cases)\.ts$/.test(file))
    .filter((file) => !except.some((folder) => file.startsWith(`${folder}/`)))
    .sort();
}

/** Tries the mutants until all are decided, or until Ctrl-C. */
async function tryAll(root: string, part: Part, mutants: readonly Mutant[]) {
  const start = performance.now();
  process.stdout.write("Running the tests without a mutant ...\n");
  const runner = await MutationRunner.start(root, part);
  const interrupt = Promise.withResolvers<"interrupted">();
  for (const signal of SIGNALS) {
    // Vitest's listeners end the process at once.
    process.removeAllListeners(signal);
    process.once(signal, () => interrupt.resolve("interrupted"));
  }
  process.stdout.write(`They took ${minutes(performance.now() - start)}\n`);
  const stopProgress = showProgress(mutants.length, () => runner.results().size);
  const ended = await Promise.race([runner.run(mutants), interrupt.promise]);
  stopProgress();
  const results = runner.results();
  const tried = mutants.flatMap((mutant): TriedMutant[] => {
    const result = results.get(mutant.id);
    return result === undefined ? [] : [{ ...mutant, ...result }];
  });
  await runner.stop();
  return { tried, isInterrupted: ended === "interrupted" };
}

/** Shows how many mutants are decided: in place on a terminal, else as a line now and then. */
function showProgress(total: number, decided: () => number): () => void {
  const start = performance.now();
  const { isTTY } = process.stdout;
  const show = () => {
    const [count, elapsed] = [decided(), performance.now() - start];
    const left = count === 0 ? "unknown" : `about ${minutes((elapsed / count) * (total - count))}`;
    const line = `${count} of ${total} decided, ${minutes(elapsed)} elapsed, ${left} left`;
    process.stdout.write(isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  };
  const timer = setInterval(show, isTTY ? 1_000 : 30_000);
  return () => {
    clearInterval(timer);
    show();
    if (isTTY) process.stdout.write("\n");
  };
}

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
}

function print({ id, file, line, mutator, original, replacement, outcome, failure }: TriedMutant): void {
  process.stdout.write(`\n${id} ${outcome} ${file}:${line} ${mutator}\n- ${original}\n+ ${replacement}\n`);
  process.stdout.write(failure === undefined ? "\n" : `  ${failure}\n\n`);
}

function printScore(tried: readonly TriedMutant[], drawn: number): void {
  const killed = tried.filter(({ outcome }) => outcome === "killed" || outcome === "timed out").length;
  const score = tried.length === 0 ? "none" : `${((100 * killed) / tried.length).toFixed(1)} %`;
  const undecided = tried.length === drawn ? "" : `, ${drawn - tried.length} not decided`;
  process.stdout.write(`${killed} of ${tried.length} killed: ${score}${undecided}\n`);
}

// Not only `exitCode`: a test process that hangs would keep this one.
process.exit(await main());
