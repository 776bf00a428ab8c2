// @ts-check
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { capture } from "../child.mjs";

const FOLDER = new URL("./", import.meta.url);
const LOCKFILE = new URL("package-lock.json", FOLDER);
/** Copy of the installed lockfile. */
const STAMP = new URL("node_modules/.installed-lock.json", FOLDER);

/**
 * Loads the official AsyncAPI parser, after installing its lockfile when it changed.
 * @returns {Promise<typeof import("./parser.mjs")>}
 */
export async function asyncApiParser() {
  const wanted = readFileSync(LOCKFILE, "utf8");
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== wanted) {
    const args = ["ci", "--prefer-offline", "--loglevel=error"];
    const { code, output } = await capture("npm", args, { cwd: fileURLToPath(FOLDER) });
    if (code !== 0) throw new Error(`npm ci in tools/asyncapi failed with exit code ${code}:\n${output}`);
    writeFileSync(STAMP, wanted);
  }
  return import("./parser.mjs");
}
