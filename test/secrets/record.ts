// Runs before each test file: keeps all that the tests, the loggers in them and the processes they start have written,
// for tools/secrets.mjs to look through when the run is over. What a test catches is kept as well as what it shows.
import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { format } from "node:util";
import { expect, vi } from "vitest";
import type { JsonLoggerOptions } from "../../src/lift/logger.ts";

vi.mock("../../src/lift/logger.ts", async (load) => {
  const logger = await load<typeof import("../../src/lift/logger.ts")>();
  /** The same logger, whose lines are kept before anything else becomes of them. */
  const jsonLogger = (options: JsonLoggerOptions = {}) => {
    const { write = (level, line) => console[level](line) } = options;
    if (typeof write !== "function") return logger.jsonLogger(options);
    return logger.jsonLogger({ ...options, write: (level, line) => write(level, keep(line)) });
  };
  return { ...logger, jsonLogger };
});

const RECORDING = Symbol.for("lift-ws.recording");
const world = globalThis as { [RECORDING]?: true };

const file = join(process.env.OUTPUT_FOLDER!, `${process.pid}.txt`);

function keep(text: string): string {
  appendFileSync(file, `[${expect.getState().testPath ?? "?"}]\n${text}\n`);
  return text;
}

function keepConsole(): void {
  for (const level of ["debug", "log", "info", "warn", "error", "trace"] as const) {
    const write = console[level];
    console[level] = (...values: unknown[]) => {
      keep(format(...values));
      write.apply(console, values);
    };
  }
}

function keepStream(stream: NodeJS.WriteStream): void {
  const write = stream.write;
  stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
    keep(Buffer.from(chunk as string).toString());
    return write.call(stream, chunk, ...rest);
  }) as typeof write;
}

/** Listening to it would let it flow before its test is ready to listen. */
function keepReadable(stream: Readable | null): void {
  if (stream === null) return;
  const push = stream.push;
  let text = "";
  stream.push = (chunk: Uint8Array | null, encoding?: BufferEncoding) => {
    // Whole, at its end: a secret may come in two pieces.
    if (chunk === null) keep(text);
    else text += Buffer.from(chunk).toString();
    return push.call(stream, chunk, encoding);
  };
}

if (world[RECORDING] === undefined) {
  world[RECORDING] = true;
  keepConsole();
  keepStream(process.stdout);
  keepStream(process.stderr);
  subscribe("child_process", (message) => {
    const child = (message as { process: ChildProcess }).process;
    // Its streams are made after this.
    process.nextTick(() => {
      keepReadable(child.stdout);
      keepReadable(child.stderr);
    });
  });
}
