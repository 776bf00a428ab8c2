#!/usr/bin/env node
// @ts-check
// `npx lift-ws` in this tree runs the source, without a build.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, SetupError } from "./child.mjs";
import { demoNode } from "./demo.mjs";
import { SOURCE } from "./install.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const main = join(root, "src", "cli", "main.ts");
try {
  process.exitCode = await run(demoNode(root), [SOURCE, main, ...process.argv.slice(2)], {
    cwd: process.cwd(),
  });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`lift-ws: ${error.message}\n`);
  process.exitCode = 1;
}
