#!/usr/bin/env node
// @ts-check
// What `npx lift-ws` is inside this tree: the source, on the pinned Node, with nothing built.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./child.mjs";
import { nodePath, SOURCE } from "./install.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const main = join(root, "src", "cli", "main.ts");
process.exitCode = await run(nodePath(root), [SOURCE, main, ...process.argv.slice(2)], {
  cwd: process.cwd(),
});
