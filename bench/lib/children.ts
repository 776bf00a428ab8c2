import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Answer, Usage } from "./control.ts";
import { canPin } from "./machine.ts";

const control = new URL("./control.ts", import.meta.url).href;
const alive = new Set<ChildProcess>();

// A child also ends itself when its IPC channel closes: after a SIGKILL no code runs here.
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => process.exit(code));
}

export interface Child {
  /** Runs one of the child's commands. */
  ask<Result>(command: string, argument?: unknown): Promise<Result>;
  /** The port that the child reported as ready. */
  readonly ready: Promise<number>;
  stop(): Promise<void>;
}

export const SERVER_CORE = 0;
export const CLIENT_CORE = 1;

/** Limit of one command, in ms. Far from what any takes, so that only a lost frame or a hang reaches it. */
const COMMAND_MS = 5 * 60_000;

/** Starts `file` (relative to `bench/`) as a Node process on one core. `flags` are Node's. */
export function startChild(
  file: string,
  core: number,
  args: readonly string[] = [],
  flags: readonly string[] = [],
): Child {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const node = [
    "--expose-gc",
    ...flags,
    "--conditions=@lift-ws/source",
    `--import=${control}`,
    path,
    ...args,
  ];
  const [command, ...rest] = [...(canPin ? ["taskset", "-c", String(core)] : []), process.execPath, ...node];
  const child = spawn(command!, rest, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
  alive.add(child);
  const output = collect(child);
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code, signal) => {
      alive.delete(child);
      reject(new Error(`${file} ended (${signal ?? code}):\n${output.tail()}`));
    });
  });
  ended.catch(() => {});
  return {
    ask: asker(file, child, ended),
    ready: Promise.race([output.ready, ended]),
    stop: async () => {
      child.kill("SIGKILL");
      await ended.catch(() => {});
    },
  };
}

/** CPU use of a process between two readings, in percent of one core. */
export function cpuShare(before: Usage, after: Usage): number {
  return (100 * (after.cpu - before.cpu)) / (after.at - before.at);
}

function asker(file: string, child: ChildProcess, ended: Promise<never>): Child["ask"] {
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  child.on("message", (answer: Answer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  return async <Result>(command: string, argument?: unknown): Promise<Result> => {
    const id = ++last;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    child.send({ id, command, argument });
    const answer = await Promise.race([answered, ended, timeout(file, command)]);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result as Result;
  };
}

async function timeout(file: string, command: string): Promise<never> {
  await sleep(COMMAND_MS, undefined, { ref: false });
  throw new Error(`${file} has not finished "${command}" in ${COMMAND_MS / 60_000} minutes`);
}

function collect(child: ChildProcess): { ready: Promise<number>; tail: () => string } {
  let text = "";
  const ready = new Promise<number>((resolve) => {
    const read = (chunk: Buffer): void => {
      text = (text + chunk).slice(-4000);
      const port = /^ready (\d+)$/m.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
  });
  return { ready, tail: () => text };
}
