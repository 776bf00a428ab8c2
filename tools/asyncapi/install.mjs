// @ts-check
import { installOwnPackage } from "../npm.mjs";

/**
 * Loads the official AsyncAPI parser, after installing its lockfile when it changed.
 * @returns {Promise<typeof import("./parser.mjs")>}
 */
export async function asyncApiParser() {
  await installOwnPackage(import.meta.dirname);
  return import("./parser.mjs");
}
