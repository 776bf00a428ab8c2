#!/usr/bin/env node
import { run } from "./run.ts";

const exitCode = await run(process.argv.slice(2), process);
// Once all is written: a handler's open handles, a pool or an interval, would keep the process alive.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
