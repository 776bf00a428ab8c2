// Runs before each test file. Records all output of tests, their loggers and their processes, so that tools/secrets.mjs
// can search it after the run. Output that a test captures is recorded too.
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
  /** The same logger, with its lines recorded first. */
  const jsonLogger = (options: JsonLoggerOptions = {}) => {
    const { write = (level, line) => console[level](line) } = options;
    if (typeof write !== "function") return logger.jsonLogger(options);
    return logger.jsonLogger({ ...options, write: (level, line) => write(level, keep(line)) });
  };
  return { ...logger, jsonLogger };
});

const RECORDING = Symbol.for("lift-ws.recording");
const recording = globalThis as { [RECORDING]?: true };

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

/** Wraps `push`: a listener would start the stream before the test listens. */
function keepReadable(stream: Readable | null): void {
  if (stream === null) return;
  const push = stream.push;
  let text = "";
  stream.push = (chunk: Uint8Array | null, encoding?: BufferEncoding) => {
    // Recorded at the end as a whole, because a secret may be split between chunks.
    if (chunk === null) keep(text);
    else text += Buffer.from(chunk).toString();
    return push.call(stream, chunk, encoding);
  };
}

if (recording[RECORDING] === undefined) {
  recording[RECORDING] = true;
  keepConsole();
  keepStream(process.stdout);
  keepStream(process.stderr);
  subscribe("child_process", (message) => {
    const child = (message as { process: ChildProcess }).process;
    // The streams of the process are created after this event.
    process.nextTick(() => {
      keepReadable(child.stdout);
      keepReadable(child.stderr);
    });
  });
}
