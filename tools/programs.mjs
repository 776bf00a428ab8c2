// @ts-check
// Finds and installs the two programs that the tests need and npm cannot install.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { capture, SetupError } from "./child.mjs";

/** The shell opens a window in a fifth of the time: it has the same engine, without the rest of a browser. */
const CHROMIUM_NAMES = [
  "chromium-headless-shell",
  ...["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
];
const CHROMIUM_ON_MAC = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];
const OLDEST_JAVA = 17;

/** Returns the path of Chromium or Chrome. CHROMIUM_PATH in the environment takes precedence. */
export function findChromium() {
  const given = process.env.CHROMIUM_PATH;
  const candidates = [...CHROMIUM_NAMES.flatMap(onPath), ...CHROMIUM_ON_MAC];
  return given && existsSync(given) ? given : candidates.find((path) => existsSync(path));
}

/** Returns the path of a Java runtime that is new enough. */
export function findJava() {
  // Runs it, because macOS has a `java` that only prints that no Java is installed.
  return onPath("java").find((path) => {
    const { stderr } = spawnSync(path, ["-version"], { encoding: "utf8" });
    return Number(/version "(\d+)/.exec(stderr ?? "")?.[1]) >= OLDEST_JAVA;
  });
}

const PROGRAMS = [
  { name: "Chromium", find: findChromium, debian: "chromium-headless-shell" },
  { name: `a Java runtime (${OLDEST_JAVA} or later)`, find: findJava, debian: "default-jre-headless" },
];

/**
 * Checks for Chromium and Java. On Debian as root, installs what is missing.
 * @param {{ uid?: number | undefined, osRelease?: string }} [machine] default: this machine
 * @throws {SetupError} names the packages to install
 */
export async function ensurePrograms({ uid = process.getuid?.(), osRelease = "/etc/os-release" } = {}) {
  const missing = missingPrograms();
  if (missing.length === 0) return;
  if (uid !== 0 || !isDebian(osRelease)) throw new SetupError(whatToInstall(missing));
  const packages = missing.map((program) => program.debian);
  process.stderr.write(
    `Installing ${packages.join(" and ")} with apt-get. This takes one to two minutes ...\n`,
  );
  await aptGet(["update"]);
  await aptGet(["install", "-y", "--no-install-recommends", ...packages]);
  const still = missingPrograms();
  if (still.length > 0) throw new SetupError(whatToInstall(still));
}

function missingPrograms() {
  return PROGRAMS.filter((program) => program.find() === undefined);
}

function whatToInstall(/** @type {typeof PROGRAMS} */ programs) {
  const names = programs.map((program) => program.name).join(" and ");
  const packages = programs.map((program) => program.debian).join(" ");
  return `The tests need ${names} on PATH. On Debian: apt-get install ${packages}. \`npm run check\` works without.`;
}

async function aptGet(/** @type {string[]} */ args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { code, output } = await capture("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], { env });
  if (code === 0) return;
  const reason = output.split("\n").find((line) => line.startsWith("E: ")) ?? `exit code ${code}`;
  throw new SetupError(`apt-get ${args[0]} failed: ${reason.replace(/^E: /, "")}`);
}

function isDebian(/** @type {string} */ osRelease) {
  return existsSync(osRelease) && /^ID=debian$/m.test(readFileSync(osRelease, "utf8"));
}

function onPath(/** @type {string} */ name) {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).filter((path) => existsSync(path));
}
