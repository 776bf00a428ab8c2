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

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: "string", default: String(COUNT) },
      seed: { type: "string", default: String(SEED) },
      only: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  const part = PARTS[positionals[0] ?? ""];
  if (values.help || part === undefined || positionals.length !== 1) {
    (values.help ? process.stdout : process.stderr).write(HELP);
    return values.help ? 0 : 2;
  }
  const copy = copyTree();
  process.once("exit", () => rmSync(copy, { recursive: true, force: true }));
  const all = await instrument(await loadInstrumenter(), copy, sourcesOf(part));
  const only = values.only?.split(",");
  const drawn = only
    ? all.filter(({ id }) => only.includes(id))
    : drawMutants(all, Number(values.count), Number(values.seed));
  process.stdout.write(`${all.length} mutants, ${drawn.length} drawn with seed ${values.seed}\n`);
  const tried = await tryAll(copy, part, drawn);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(tried, undefined, 2)}\n`);
  printScore(tried);
  return 0;
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

async function tryAll(root: string, part: Part, mutants: readonly Mutant[]): Promise<TriedMutant[]> {
  const runner = await MutationRunner.start(root, part);
  try {
    const tried: TriedMutant[] = [];
    const start = performance.now();
    for await (const one of runner.runAll(mutants)) {
      tried.push(one);
      const seconds = Math.round((performance.now() - start) / 1000);
      process.stdout.write(`${tried.length}/${mutants.length} ${one.outcome} ${seconds} s\n`);
      if (one.outcome !== "killed") print(one);
    }
    return tried;
  } finally {
    await runner.stop();
  }
}

function print({ id, file, line, mutator, original, replacement, outcome, failure }: TriedMutant): void {
  process.stdout.write(`\n${id} ${outcome} ${file}:${line} ${mutator}\n- ${original}\n+ ${replacement}\n`);
  process.stdout.write(failure === undefined ? "\n" : `  ${failure}\n\n`);
}

function printScore(tried: readonly TriedMutant[]): void {
  const killed = tried.filter(({ outcome }) => outcome === "killed" || outcome === "timed out").length;
  const score = ((100 * killed) / tried.length).toFixed(1);
  process.stdout.write(`${killed} of ${tried.length} killed: ${score} %\n`);
}

process.exitCode = await main();
