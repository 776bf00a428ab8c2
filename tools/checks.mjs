// @ts-check
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { capture } from "./child.mjs";
import { describeDuplicate, findDuplicates } from "./duplicates.mjs";
import { spawnOptions } from "./install.mjs";
import { findWording } from "./wording.mjs";

/** More findings of a list than this are only counted. */
const MAX_LISTED = 20;

const CODE = /\.(?:ts|tsx|mjs|js)$/;
/** These files quote the words to avoid. */
const QUOTES_WORDS = /(?:^|\/)wording\.(?:mjs|test\.ts)$/;
const SKIPPED_FOLDERS = ["node_modules", "dist"];

const BIN = join("node_modules", ".bin");
/** The native compiler. Users have it or its predecessor, which the tests of the package and of the docs run. */
const TSC = join("tools", "typescript7", "node_modules", "typescript", "bin", "tsc");

/**
 * Lints, checks types and looks for unused code; lists duplicates and wording without failing.
 * @param {string} root a tree with the installed tools
 * @returns {Promise<number>} the exit code
 */
export async function runChecks(root) {
  // The output of these tools is captured, so they cannot detect a terminal.
  const colours = process.stdout.isTTY === true;
  const pretty = ["--pretty", String(colours)];
  const types = (/** @type {string} */ name, /** @type {string} */ project) =>
    step(root, name, TSC, ["-p", project, ...pretty]);
  const others = async () =>
    (await step(root, "lint", join(BIN, "biome"), ["ci", `--colors=${colours ? "force" : "off"}`, "."])) ||
    (await step(root, "unused", join(BIN, "knip"), ["--no-progress", "--treat-config-hints-as-errors"])) ||
    // Pages use the browser's globals, which the rest of the tree must not use.
    (await types("page", "examples/chat/page")) ||
    (await types("page", "examples/streamer/page")) ||
    // Code for browsers is compiled without Node's types.
    (await types("client", "src/client")) ||
    (await types("react", "src/react"));
  const codes = await Promise.all([types("types", "."), others()]);
  listFindings(root);
  return codes.find((code) => code !== 0) ?? 0;
}

/**
 * Runs an installed tool and prints its time; its output is printed only when it fails.
 * @param {string} root
 * @param {string} name
 * @param {string} bin relative to `root`
 * @param {readonly string[]} args
 */
async function step(root, name, bin, args) {
  const start = Date.now();
  const { code, output } = await capture(join(root, bin), args, spawnOptions(root));
  const seconds = `${((Date.now() - start) / 1000).toFixed(1)} s`;
  if (code !== 0) process.stdout.write(output);
  process.stdout.write(`${name.padEnd(6)} ${code === 0 ? "ok" : "failed"}  ${seconds}\n`);
  return code;
}

function listFindings(/** @type {string} */ root) {
  const files = sourceFiles(root);
  const code = files.filter((file) => CODE.test(file));
  const prose = files.filter((file) => !QUOTES_WORDS.test(file));
  list("duplicates over ten lines", findDuplicates(root, code).map(describeDuplicate));
  list("sentences with words to avoid", findWording(root, prose));
}

/**
 * @param {string} name
 * @param {readonly string[]} findings
 */
function list(name, findings) {
  const lines = findings.slice(0, MAX_LISTED).map((finding) => `  ${finding}`);
  if (findings.length > MAX_LISTED) lines.push(`  and ${findings.length - MAX_LISTED} more`);
  process.stdout.write(`${[`${name}: ${findings.length}`, ...lines].join("\n")}\n`);
}

/**
 * Scripts and documents of the tree, relative to `root`. The changelog is left out: it quotes the past.
 * @param {string} root
 */
function sourceFiles(root) {
  const topLevel = readdirSync(root).filter((name) => name.endsWith(".md") && name !== "CHANGELOG.md");
  const folders = ["src", "test", "bench", "examples", "tools", "docs"];
  return [...topLevel, ...folders.flatMap((folder) => filesIn(root, folder))];
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED_FOLDERS.includes(entry.name) ? [] : filesIn(root, path);
    return CODE.test(entry.name) || entry.name.endsWith(".md") ? [path] : [];
  });
}
