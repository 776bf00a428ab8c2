// @ts-check
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { capture, SetupError } from "./child.mjs";

/** Of a lock that nobody has signed yet, in ms. */
const UNSIGNED_LOCK_MS = 5_000;
const HEARTBEAT_MS = 15_000;

/** So that `lift-ws` means src, not dist, in examples, benches and tests. */
export const SOURCE = "--conditions=@lift-ws/source";

/** The pinned Node, which runs everything but these tools. */
export function nodePath(/** @type {string} */ root) {
  return join(root, "node_modules", "node", "bin", "node");
}

/**
 * Installs what the lockfile says, unless that is what stands there.
 * @param {string} root
 * @throws {SetupError}
 */
export async function install(root) {
  const stamp = join(root, "node_modules", ".lift-ws-lock");
  const wanted = fingerprint(root);
  const current = () => existsSync(nodePath(root)) && readIfThere(stamp) === wanted;
  if (current()) return linkCommand(root);
  const unlock = await lock(join(root, ".lift-ws", "install.lock"));
  try {
    // Whoever held the lock may have done it.
    if (current()) return;
    await installFromLockfile(root);
    linkCommand(root);
    writeFileSync(stamp, wanted);
  } finally {
    unlock();
  }
}

/** npm links the commands of dependencies, not the tree's own: `npx lift-ws` would look for a build. */
function linkCommand(/** @type {string} */ root) {
  const folder = join(root, "node_modules", ".bin");
  try {
    mkdirSync(folder, { recursive: true });
    symlinkSync(join("..", "..", "tools", "lift-ws.mjs"), join(folder, "lift-ws"));
  } catch (error) {
    // There already; or a Windows that lets nobody link, which then has the command after a build.
    const { code = "" } = /** @type {NodeJS.ErrnoException} */ (error);
    if (!["EEXIST", "EPERM"].includes(code)) throw error;
  }
}

function fingerprint(/** @type {string} */ root) {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  return `${hash.digest("hex")} ${process.platform} ${process.arch}\n`;
}

async function installFromLockfile(/** @type {string} */ root) {
  const start = Date.now();
  const seconds = () => `${Math.round((Date.now() - start) / 1000)} s`;
  say("Installing the dependencies and Node 24 from the lockfile (npm ci) ...");
  const heartbeat = setInterval(() => say(`  still at it, ${seconds()}`), HEARTBEAT_MS);
  try {
    await npmCi(root);
  } finally {
    clearInterval(heartbeat);
  }
  if (!existsSync(nodePath(root))) {
    throw new SetupError(
      "Node 24 was not installed: npm ran no install scripts (ignore-scripts?). Run: npm rebuild node --ignore-scripts=false",
    );
  }
  say(`Installed in ${seconds()}.`);
}

async function npmCi(/** @type {string} */ root) {
  // NODE_ENV=production would leave out half; at `error`, npm under Node 20 keeps quiet about tools that want
  // the newer Node that it is just about to install.
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const cli = process.env.npm_execpath;
  const [file, prefix] = cli && basename(cli) === "npm-cli.js" ? [process.execPath, [cli]] : ["npm", []];
  const { code, output } = await capture(file, [...prefix, ...args], { cwd: root }).catch((error) => {
    throw new SetupError(`npm could not be run (${error.code ?? error.message}): is it installed?`);
  });
  if (code !== 0) throw new SetupError(`npm ci failed: ${npmsReason(output) || `exit code ${code}`}`);
}

/** npm's many `npm error` lines as one: the code, what happened, where the log is. */
export function npmsReason(/** @type {string} */ output) {
  const lines = output
    .split("\n")
    .map((line) => /^npm (?:error|ERR!) (.*)/.exec(line)?.[1]?.trim())
    .filter((line) => line !== undefined && line !== "");
  const told = lines.filter((line) => !/^(?:A complete log|errno|syscall|path|dest|at )/.test(line ?? ""));
  const log = /A complete log of this run can be found in:\s*(?:npm (?:error|ERR!)\s*)?(\S+)/.exec(
    output,
  )?.[1];
  const reason = (told.length > 0 ? told : output.trim().split("\n").slice(-2)).slice(0, 3).join("; ");
  return log ? `${reason} (log: ${log})` : reason;
}

/**
 * Waits until no other process holds the lock, then holds it.
 * @param {string} path
 * @returns {Promise<() => void>} releases it
 */
async function lock(path) {
  mkdirSync(join(path, ".."), { recursive: true });
  for (let told = false; ; await sleep(200)) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    if (isAbandoned(path)) rmSync(path, { force: true });
    else if (!told) say("Another command is installing; waiting for it ...");
    told = true;
  }
}

function isAbandoned(/** @type {string} */ path) {
  const pid = Number(readIfThere(path));
  if (!pid) return existsSync(path) && Date.now() - statSync(path).mtimeMs > UNSIGNED_LOCK_MS;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH";
  }
}

function readIfThere(/** @type {string} */ path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function say(/** @type {string} */ line) {
  process.stderr.write(`${line}\n`);
}
