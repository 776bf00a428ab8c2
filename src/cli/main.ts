#!/usr/bin/env node
/** The version in `engines` of package.json; a test compares them. */
const OLDEST_NODE = "22.19.0";

if (OLDEST_NODE.localeCompare(process.versions.node, undefined, { numeric: true }) > 0) {
  process.stderr.write(`lift-ws: needs Node ${OLDEST_NODE} or later; this is ${process.version}\n`);
  process.exit(1);
}

// Imported after the check, because the modules use features that older versions of Node lack.
const { run } = await import("./run.ts");
const exitCode = await run(process.argv.slice(2), process);
// Exit explicitly, because a handler's pool or interval keeps the process alive. Flush both streams before.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
