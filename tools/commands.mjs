// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "./build.mjs";
import { bundleExample, EXAMPLES } from "./bundle.mjs";
import { runChecks } from "./checks.mjs";
import { run, SetupError } from "./child.mjs";
import { demoNode } from "./demo.mjs";
import { nodePath, SOURCE, spawnOptions } from "./install.mjs";
import { ensurePrograms } from "./programs.mjs";
import { findSecrets } from "./secrets.mjs";

/** @typedef {(root: string, args: readonly string[]) => Promise<number>} Command resolves to the exit code */

/** @type {Command} */
export function start(root, args) {
  return run(demoNode(root), [SOURCE, join("examples", "streamer", "main.ts"), ...args], spawnOptions(root));
}

/** @type {Command} */
export function bench(root, args) {
  return run(nodePath(root), [SOURCE, join("bench", "main.ts"), ...args], spawnOptions(root));
}

/** @type {Command} */
function checkHistory(root, args) {
  return run(nodePath(root), [SOURCE, join("test", "history", "main.ts"), ...args], spawnOptions(root));
}

export { checkHistory as "check:history" };

/** @type {Command} */
function checkTemplates(root, args) {
  return run(nodePath(root), [join("tools", "check-templates.mjs"), ...args], spawnOptions(root));
}

export { checkTemplates as "check:templates" };

/** @type {Command} */
export function mutate(root, args) {
  return run(nodePath(root), [SOURCE, join("test", "mutation", "main.ts"), ...args], spawnOptions(root));
}

/** @type {Command} */
export function rehearse(root, args) {
  return run(nodePath(root), [SOURCE, join("test", "rehearsal", "main.ts"), ...args], spawnOptions(root));
}

/** @type {Command} */
export async function build(root) {
  const { code, output } = await compile(root, spawnOptions(root).env);
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

/** @type {Command} */
export function synth(root, args) {
  const { env } = spawnOptions(root);
  const cdk = join(root, "node_modules", "aws-cdk", "bin", "cdk");
  const output = ["--output", join(root, "dist", "cdk"), "--quiet"];
  return run(nodePath(root), [cdk, "synth", ...output, ...args], {
    cwd: join(root, "examples", "deploy"),
    env: { ...env, NODE_OPTIONS: SOURCE, CDK_DISABLE_CLI_TELEMETRY: "true" },
  });
}

function kilobytes(/** @type {number} */ bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

/** @type {Command} */
export async function check(root, args) {
  return (await runChecks(root)) || vitest(root, ["--project", "fast", ...args]);
}

/** @type {Command} */
async function checkProperties(root, args) {
  const { seed, rest } = takeSeed(args);
  process.stdout.write(`seed ${seed}\n`);
  const code = await vitest(root, ["--project", "fast", ...rest], { PROPERTY_SEED: String(seed) });
  if (code !== 0) process.stdout.write(`Repeat: npm run check:properties -- --seed ${seed}\n`);
  return code;
}

export { checkProperties as "check:properties" };

function takeSeed(/** @type {readonly string[]} */ args) {
  const at = args.indexOf("--seed");
  if (at === -1) return { seed: Math.floor(Math.random() * 2 ** 31), rest: args };
  const seed = Number(args[at + 1]);
  if (!Number.isSafeInteger(seed)) throw new SetupError("`--seed` must be an integer");
  return { seed, rest: args.toSpliced(at, 2) };
}

/** @type {Command} */
export async function test(root, args) {
  await ensurePrograms();
  // One run of all projects, so that the counts at the end include every test.
  return (await runChecks(root)) || vitest(root, args);
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
    const { cwd, env } = spawnOptions(root);
    const code = await run(nodePath(root), [cli, "run", ...reporters, ...args], {
      cwd,
      env: { ...env, ...variables, COUNTS_FILE: counts, OUTPUT_FOLDER: output },
    });
    const isClean = reportSecrets(output);
    if (existsSync(counts)) process.stdout.write(readFileSync(counts));
    return code || (isClean ? 0 : 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fails the run when its output has a token: more people read logs than may act for the user of a token. */
function reportSecrets(/** @type {string} */ folder) {
  const { bytes, leaks } = findSecrets(folder);
  const size = `${Math.ceil(bytes / 1024)} KB of output`;
  const verdict = leaks.length === 0 ? `none in ${size}` : `${leaks.length} in ${size}:`;
  process.stdout.write([`secrets ${verdict}`, ...leaks, ""].join("\n"));
  return leaks.length === 0;
}
