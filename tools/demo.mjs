// @ts-check
// Installs the demo only: a few packages of the lockfile, and Node only when the running one is too old.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SetupError } from "./child.mjs";
import { checkNode, install, installOnce, nodePath } from "./install.mjs";
import { npmCi } from "./npm.mjs";

/** The packages that the demo and its page import. */
export const DEMO_PACKAGES = ["esbuild", "jose", "ws", "zod"];

/** Marks a node_modules that holds the demo's packages and nothing else. */
const MARK = ".lift-ws-demo";

/**
 * @typedef {{
 *   version: string, integrity: string, os?: string[], cpu?: string[], dev?: boolean,
 *   dependencies?: Record<string, string>, optionalDependencies?: Record<string, string>,
 * }} Locked an entry of a lockfile
 * @typedef {{ packages: Record<string, Locked> }} Lockfile
 */

/**
 * Installs the packages of the demo, unless they are installed.
 * @param {string} root
 * @throws {SetupError}
 */
export async function installDemo(root) {
  const withNode = !isNewEnough(root);
  const names = withNode ? [...DEMO_PACKAGES, "node"] : DEMO_PACKAGES;
  const wanted = lockfileOf(readLockfile(join(root, "package-lock.json")), names);
  const modules = join(root, "node_modules");
  const isCurrent = () => isInstalled(modules, wanted) && (!withNode || existsSync(nodePath(root)));
  // An outdated full installation is replaced as a whole: the demo's packages alone would break the other commands.
  if (!isCurrent() && existsSync(modules) && !existsSync(join(modules, MARK))) return install(root);
  const node = withNode
    ? " and Node 24, 60 MB. This takes up to a minute"
    : ", 6 MB. This takes a few seconds";
  await installOnce(root, {
    isCurrent,
    about: `Installing the demo's dependencies from the lockfile (npm ci), ${DEMO_PACKAGES.length} packages${node} ...`,
    async work() {
      const folder = join(root, ".lift-ws", "demo");
      await installInto(folder, root, wanted, names);
      if (withNode) checkNode(folder);
      writeFileSync(join(folder, "node_modules", MARK), "");
      rmSync(modules, { recursive: true, force: true });
      renameSync(join(folder, "node_modules"), modules);
      rmSync(folder, { recursive: true });
    },
  });
}

/**
 * Returns the Node that runs the demo and `npx lift-ws`: the pinned one if installed, otherwise the running one.
 * @param {string} root
 * @throws {SetupError} when the running Node is too old
 */
export function demoNode(root) {
  if (existsSync(nodePath(root))) return nodePath(root);
  if (isNewEnough(root)) return process.execPath;
  throw new SetupError(
    `Node ${oldestNode(root)} or later is needed; this is ${process.version}. Run: npm start`,
  );
}

/**
 * Returns the entries of a lockfile that `names` depend on. The entries name no registry, so that npm uses the configured
 * one. With a tarball's path npm skips each package's list of versions, which can be megabytes.
 * @param {Lockfile} lockfile
 * @param {readonly string[]} names
 * @returns {Lockfile}
 */
export function lockfileOf({ packages }, names) {
  /** @type {Lockfile["packages"]} */
  const wanted = {};
  const waiting = [...names];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const path = `node_modules/${name}`;
    const locked = packages[path];
    if (locked === undefined) throw new SetupError(`package-lock.json has no ${path}`);
    if (wanted[path] !== undefined) continue;
    const { dev: _, ...entry } = locked;
    const resolved = `https://registry/${name}/-/${name.split("/").at(-1)}-${entry.version}.tgz`;
    wanted[path] = Object.assign(entry, { resolved });
    waiting.push(...Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }));
  }
  return { packages: wanted };
}

/**
 * @param {string} folder emptied first
 * @param {string} root
 * @param {Lockfile} lockfile
 * @param {readonly string[]} names
 */
async function installInto(folder, root, { packages }, names) {
  const version = (/** @type {string} */ name) => packages[`node_modules/${name}`]?.version;
  const manifest = {
    name: "lift-ws-demo",
    private: true,
    dependencies: Object.fromEntries(names.map((name) => [name, version(name)])),
    // npm runs install scripts of these packages only.
    allowScripts: { esbuild: true, node: true },
  };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const write = (/** @type {string} */ name, /** @type {object} */ content) =>
    writeFileSync(join(folder, name), JSON.stringify(content, null, 2));
  write("package.json", manifest);
  write("package-lock.json", { lockfileVersion: 3, requires: true, packages: { "": manifest, ...packages } });
  if (existsSync(join(root, ".npmrc"))) copyFileSync(join(root, ".npmrc"), join(folder, ".npmrc"));
  await npmCi(folder, ["--replace-registry-host=always"]);
}

/**
 * Whether npm's record of node_modules has each of the packages.
 * @param {string} modules
 * @param {Lockfile} wanted
 */
function isInstalled(modules, wanted) {
  const record = join(modules, ".package-lock.json");
  if (!existsSync(record)) return false;
  const { packages } = readLockfile(record);
  return Object.entries(wanted.packages).every(([path, { integrity, os, cpu }]) => {
    const installed = packages[path];
    // npm skips packages for other platforms.
    if (os?.includes(process.platform) === false || cpu?.includes(process.arch) === false) return true;
    return installed?.integrity === integrity && existsSync(join(modules, "..", path, "package.json"));
  });
}

/** @returns {Lockfile} */
function readLockfile(/** @type {string} */ path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Whether the running Node is recent enough and strips types. Some builds of newer versions do not. */
function isNewEnough(/** @type {string} */ root) {
  const isOld = oldestNode(root).localeCompare(process.versions.node, undefined, { numeric: true }) > 0;
  return !isOld && process.features.typescript !== false;
}

/** Reads the oldest supported version from `engines` in package.json. */
function oldestNode(/** @type {string} */ root) {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return engines.node.replace(/^>=/, "");
}
