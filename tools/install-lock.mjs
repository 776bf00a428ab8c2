// @ts-check
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError } from "./child.mjs";

/** Age in ms at which a lock without a process id counts as abandoned. */
const UNSIGNED_LOCK_MS = 5_000;

/**
 * Waits for the lock and takes it.
 * @param {string} path
 * @param {(line: string) => void} say
 * @returns {Promise<() => void>} releases the lock
 * @throws {SetupError} when the lock's folder is not writable
 */
export async function lock(path, say) {
  for (let isAnnounced = false; ; await sleep(200)) {
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code !== "EEXIST")
        throw new SetupError(`Cannot write ${path} (${code}). Make its folder writable.`);
    }
    if (isAbandoned(path)) rmSync(path, { force: true });
    else if (!isAnnounced) say("Waiting for another command that is installing ...");
    isAnnounced = true;
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
