// @ts-check
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { capture } from "../child.mjs";

const FOLDER = new URL("./", import.meta.url);
const LOCKFILE = new URL("package-lock.json", FOLDER);
/** The lockfile that is installed. */
const STAMP = new URL("node_modules/.installed-lock.json", FOLDER);

/**
 * The official AsyncAPI parser, installed from its lockfile unless that is what stands there.
 * @returns {Promise<typeof import("./parser.mjs")>}
 */
export async function asyncApiParser() {
  const wanted = readFileSync(LOCKFILE, "utf8");
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== wanted) {
    const args = ["ci", "--prefer-offline", "--loglevel=error"];
    const { code, output } = await capture("npm", args, { cwd: fileURLToPath(FOLDER) });
    if (code !== 0) throw new Error(`npm ci in tools/asyncapi ended with ${code}:\n${output}`);
    writeFileSync(STAMP, wanted);
  }
  return import("./parser.mjs");
}
