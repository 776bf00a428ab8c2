// @ts-check
import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import { capture } from "./child.mjs";

/**
 * Compiles `src` into `dist`, after emptying `dist`.
 * @param {string} root a tree with the installed tools
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ code: number, output: string }>} the exit code and output of `tsc`
 */
export async function compile(root, env = process.env) {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const tsc = join(root, "node_modules", ".bin", "tsc");
  const result = await capture(tsc, ["-p", "tsconfig.build.json"], { cwd: root, env });
  if (result.code === 0) chmodSync(join(root, "dist", "cli", "main.js"), 0o755);
  return result;
}
