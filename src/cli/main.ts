#!/usr/bin/env node
import { findMissingPackage, installHint } from "./missing-package.ts";

/** As in package.json's `engines`; a test compares them. */
const OLDEST_NODE = "22.19.0";

if (OLDEST_NODE.localeCompare(process.versions.node, undefined, { numeric: true }) > 0) {
  process.stderr.write(`lift-ws: needs Node ${OLDEST_NODE} or later; this is ${process.version}\n`);
  process.exit(1);
}

// Only now: what it imports uses what an older Node has not.
const { run } = await import("./run.ts").catch((error: unknown) => {
  const name = findMissingPackage(error);
  if (name === undefined) throw error;
  process.stderr.write(`lift-ws: can't run, as ${installHint(name)}\n`);
  process.exit(1);
});
const exitCode = await run(process.argv.slice(2), process);
// Once all is written: a handler's open handles, a pool or an interval, would keep the process alive.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
