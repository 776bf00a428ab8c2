// @ts-check
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { SetupError } from "./child.mjs";
import { lock } from "./install-lock.mjs";
import { npmCi } from "./npm.mjs";

const HEARTBEAT_MS = 15_000;

/** Resolves `lift-ws` to src, not dist, in examples, benches and tests. */
export const SOURCE = "--conditions=@lift-ws/source";

/** The path of the pinned Node, which runs everything except these tools. */
export function nodePath(/** @type {string} */ root) {
  return join(root, "node_modules", "node", "bin", "node");
}

/**
 * Options that run a program in the tree: the tree's Node and tools are first on PATH. Without a terminal, colours are
 * off.
 * @param {string} root
 */
export function spawnOptions(root) {
  const { FORCE_COLOR, ...rest } = process.env;
  const PATH = join(root, "node_modules", ".bin") + delimiter + rest.PATH;
  const forced = FORCE_COLOR === undefined ? {} : { FORCE_COLOR };
  const colours = process.stdout.isTTY ? forced : { NO_COLOR: "1" };
  return { cwd: root, env: { ...rest, PATH, ...colours } };
}

/**
 * Installs everything in the lockfile, unless it is installed.
 * @param {string} root
 * @throws {SetupError}
 */
export async function install(root) {
  const stamp = join(root, "node_modules", ".lift-ws-lock");
  const wanted = fingerprint(root);
  await installOnce(root, {
    isCurrent: () =>
      existsSync(nodePath(root)) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted,
    about:
      "Installing the dependencies, the tools and Node 24 from the lockfile (npm ci). This takes 1 to 3 minutes ...",
    async work() {
      // NODE_ENV=production would leave out the development dependencies.
      await npmCi(root, ["--include=dev"]);
      checkNode(root);
      writeFileSync(stamp, wanted);
    },
  });
}

/**
 * Runs `work` unless the installation is current. A second process waits for the first one.
 * @param {string} root
 * @param {{ isCurrent: () => boolean, about: string, work: () => Promise<void> }} installation
 * @throws {SetupError}
 */
export async function installOnce(root, { isCurrent, about, work }) {
  if (!isCurrent()) {
    const unlock = await lock(join(root, ".lift-ws", "install.lock"), say);
    try {
      // The process that held the lock may have finished the installation.
      if (!isCurrent()) await withProgress(about, work);
    } finally {
      unlock();
    }
  }
  linkCommand(root);
}

/** @throws {SetupError} when npm did not install the pinned Node */
export function checkNode(/** @type {string} */ folder) {
  if (existsSync(nodePath(folder))) return;
  throw new SetupError(
    "Node 24 was not installed because npm skipped install scripts (`ignore-scripts`). Run: npm rebuild node --ignore-scripts=false",
  );
}

/**
 * @param {string} about
 * @param {() => Promise<void>} work
 */
async function withProgress(about, work) {
  const start = Date.now();
  const seconds = () => `${Math.round((Date.now() - start) / 1000)} s`;
  say(about);
  const heartbeat = setInterval(() => say(`  still installing, ${seconds()}`), HEARTBEAT_MS);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
  }
  say(`Installed in ${seconds()}.`);
}

/** Links `npx lift-ws` to the source: npm links the commands of dependencies, but not the package's own. */
function linkCommand(/** @type {string} */ root) {
  const folder = join(root, "node_modules", ".bin");
  try {
    mkdirSync(folder, { recursive: true });
    symlinkSync(join("..", "..", "tools", "lift-ws.mjs"), join(folder, "lift-ws"));
  } catch (error) {
    // EEXIST: linked before. EPERM: Windows without the right to link, where the command works after a build.
    const { code = "" } = /** @type {NodeJS.ErrnoException} */ (error);
    if (!["EEXIST", "EPERM"].includes(code)) throw error;
  }
}

function fingerprint(/** @type {string} */ root) {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  return `${hash.digest("hex")} ${process.platform} ${process.arch}\n`;
}

function say(/** @type {string} */ line) {
  process.stderr.write(`${line}\n`);
}
