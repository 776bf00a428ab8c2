// @ts-check
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { capture, SetupError } from "./child.mjs";

/**
 * Installs the lockfile of a folder with `npm ci`.
 * @param {string} folder
 * @param {readonly string[]} [flags]
 * @throws {SetupError}
 */
export async function npmCi(folder, flags = []) {
  // Under Node 20, npm would warn about packages that need the Node that it is installing. `error` hides these warnings.
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--no-update-notifier", ...flags];
  const cli = process.env.npm_execpath;
  const [file, prefix] = cli && basename(cli) === "npm-cli.js" ? [process.execPath, [cli]] : ["npm", []];
  const { code, output } = await capture(file, [...prefix, ...args], { cwd: folder }).catch((error) => {
    throw new SetupError(`npm did not start (${error.code ?? error.message}). Check that it is installed.`);
  });
  if (code !== 0) throw new SetupError(`npm ci failed: ${failureReason(output) || `exit code ${code}`}`);
}

/**
 * Installs a package of this repository that has a lockfile of its own, unless that lockfile is installed.
 * @param {string} folder
 * @param {string} [about] what is installed, printed before an installation
 * @throws {SetupError}
 */
export async function installOwnPackage(folder, about) {
  const wanted = readFileSync(join(folder, "package-lock.json"), "utf8");
  // A copy of the installed lockfile.
  const stamp = join(folder, "node_modules", ".installed-lock.json");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  if (about !== undefined) process.stdout.write(`Installing ${about} (npm ci) ...\n`);
  await npmCi(folder, ["--prefer-offline"]);
  writeFileSync(stamp, wanted);
}

/** Shortens the `npm error` lines to one: the code, the reason and the path of the log. */
function failureReason(/** @type {string} */ output) {
  const lines = output
    .split("\n")
    .map((line) => /^npm (?:error|ERR!) (.*)/.exec(line)?.[1]?.trim())
    .filter((line) => line !== undefined && line !== "");
  const reasons = lines.filter((line) => !/^(?:A complete log|errno|syscall|path|dest|at )/.test(line ?? ""));
  const log = /A complete log of this run can be found in:\s*(?:npm (?:error|ERR!)\s*)?(\S+)/.exec(
    output,
  )?.[1];
  const reason = (reasons.length > 0 ? reasons : output.trim().split("\n").slice(-2)).slice(0, 3).join("; ");
  return log ? `${reason} (log: ${log})` : reason;
}
