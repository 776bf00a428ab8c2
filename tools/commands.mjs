// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { compile } from "./build.mjs";
import { bundleExample, EXAMPLES } from "./bundle.mjs";
import { capture, run, SetupError } from "./child.mjs";
import { demoNode } from "./demo.mjs";
import { nodePath, SOURCE } from "./install.mjs";
import { ensurePrograms } from "./programs.mjs";
import { findSecrets } from "./secrets.mjs";

/** @typedef {(root: string, args: readonly string[]) => Promise<number>} Command answers the exit code */

/** @type {Command} */
export function start(root, args) {
  return run(demoNode(root), [SOURCE, join("examples", "streamer", "main.ts"), ...args], inTree(root));
}

/** @type {Command} */
export function bench(root, args) {
  return run(nodePath(root), [SOURCE, join("bench", "main.ts"), ...args], inTree(root));
}

/** @type {Command} */
function checkHistory(root, args) {
  return run(nodePath(root), [SOURCE, join("test", "history", "main.ts"), ...args], inTree(root));
}

export { checkHistory as "check:history" };

/** @type {Command} */
export async function build(root) {
  const { code, output } = await compile(root, inTree(root).env);
  process.stdout.write(output);
  return code;
}

/** @type {Command} */
export async function bundle(root) {
  for (const example of EXAMPLES) {
    const folder = join("dist", "lambda", example);
    for (const [name, { bytes, lift, store }] of await bundleExample(root, example, join(root, folder))) {
      const shares = `(Lift ${kilobytes(lift)}, its store ${kilobytes(store)})`;
      process.stdout.write(`${join(folder, name, "index.mjs").padEnd(42)} ${kilobytes(bytes)}  ${shares}\n`);
    }
  }
  return 0;
}

function kilobytes(/** @type {number} */ bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

/** @type {Command} */
export async function check(root, args) {
  return (await lintAndTypes(root)) || vitest(root, ["--project", "fast", ...args]);
}

/** @type {Command} */
async function checkProperties(root, args) {
  const { seed, rest } = takeSeed(args);
  process.stdout.write(`seed ${seed}\n`);
  const code = await vitest(root, ["--project", "fast", ...rest], { PROPERTY_SEED: String(seed) });
  if (code !== 0) process.stdout.write(`Again: npm run check:properties -- --seed ${seed}\n`);
  return code;
}

export { checkProperties as "check:properties" };

function takeSeed(/** @type {readonly string[]} */ args) {
  const at = args.indexOf("--seed");
  if (at === -1) return { seed: Math.floor(Math.random() * 2 ** 31), rest: args };
  const seed = Number(args[at + 1]);
  if (!Number.isSafeInteger(seed)) throw new SetupError("--seed takes an integer");
  return { seed, rest: args.toSpliced(at, 2) };
}

/** @type {Command} */
export async function test(root, args) {
  await ensurePrograms();
  // One run of all projects, so that the counts at the end are of everything.
  return (await lintAndTypes(root)) || vitest(root, args);
}

async function lintAndTypes(/** @type {string} */ root) {
  // Their output is kept, so they can't see for themselves whether there is a terminal.
  const colours = process.stdout.isTTY === true;
  const pretty = ["--pretty", String(colours)];
  const types = (/** @type {string} */ name, /** @type {string} */ project) =>
    step(root, name, "tsc", ["-p", project, ...pretty]);
  // The whole tree takes longer than all of these together.
  const rest = async () =>
    (await step(root, "lint", "biome", ["ci", `--colors=${colours ? "force" : "off"}`, "."])) ||
    // What runs in a browser: other globals than the rest of the tree.
    (await types("page", "examples/chat/page")) ||
    (await types("page", "examples/streamer/page")) ||
    // What browsers run is compiled without Node's types.
    (await types("client", "src/client")) ||
    (await types("react", "src/react"));
  const codes = await Promise.all([types("types", "."), rest()]);
  return codes.find((code) => code !== 0) ?? 0;
}

/**
 * Runs one of the installed tools and tells its seconds; what it says is shown when it fails.
 * @param {string} root
 * @param {string} name
 * @param {string} bin
 * @param {readonly string[]} args
 */
async function step(root, name, bin, args) {
  const start = Date.now();
  const { code, output } = await capture(join(root, "node_modules", ".bin", bin), args, inTree(root));
  const seconds = `${((Date.now() - start) / 1000).toFixed(1)} s`;
  if (code !== 0) process.stdout.write(output);
  process.stdout.write(`${name.padEnd(6)} ${code === 0 ? "ok" : "failed"}  ${seconds}\n`);
  return code;
}

/**
 * @param {string} root
 * @param {readonly string[]} args
 * @param {Record<string, string>} [variables]
 */
async function vitest(root, args, variables = {}) {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-test-"));
  const counts = join(folder, "counts");
  const output = join(folder, "output");
  mkdirSync(output);
  try {
    const reporters = ["--reporter=default", `--reporter=${join(root, "tools", "counts-reporter.mjs")}`];
    const cli = join(root, "node_modules", "vitest", "vitest.mjs");
    const { cwd, env } = inTree(root);
    const code = await run(nodePath(root), [cli, "run", ...reporters, ...args], {
      cwd,
      env: { ...env, ...variables, COUNTS_FILE: counts, OUTPUT_FOLDER: output },
    });
    const clean = tellOfSecrets(output);
    if (existsSync(counts)) process.stdout.write(readFileSync(counts));
    return code || (clean ? 0 : 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** No output of any test may show a token: a log is read by more people than may act for its users. */
function tellOfSecrets(/** @type {string} */ folder) {
  const { bytes, leaks } = findSecrets(folder);
  const size = `${Math.ceil(bytes / 1024)} KB of output`;
  const verdict = leaks.length === 0 ? `none in ${size}` : `${leaks.length} in ${size}:`;
  process.stdout.write([`secrets ${verdict}`, ...leaks, ""].join("\n"));
  return leaks.length === 0;
}

/** Runs in the tree with its Node and tools first on PATH, and with colours only where someone sees them. */
function inTree(/** @type {string} */ root) {
  const { FORCE_COLOR, ...rest } = process.env;
  const PATH = join(root, "node_modules", ".bin") + delimiter + rest.PATH;
  const colours = process.stdout.isTTY
    ? FORCE_COLOR === undefined
      ? {}
      : { FORCE_COLOR }
    : { NO_COLOR: "1" };
  return { cwd: root, env: { ...rest, PATH, ...colours } };
}
