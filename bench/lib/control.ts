/**
 * Loaded into every child process (`--import`): answers the bench's questions over IPC, and ends the process when
 * the bench is gone.
 */
import { setImmediate as turn } from "node:timers/promises";

export interface Usage {
  /** µs of CPU time, user and system, all threads. */
  readonly cpu: number;
  /** µs on a clock that only goes forward. */
  readonly at: number;
}

export interface Memory {
  /** Bytes, after a full collection. */
  readonly rss: number;
  /** Bytes of the heap in use and what hangs on it outside, after a full collection. */
  readonly heap: number;
}

export interface Question {
  readonly id: number;
  readonly command: string;
  readonly argument: unknown;
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: each command knows its own argument, which comes from this bench
type Command = (argument: any) => unknown;

// On globalThis, as a preloaded module and an imported one need not be the same instance.
const shared = globalThis as { benchCommands?: Map<string, Command> };

/** Adds a command that the bench may ask for. */
export function answer(command: string, run: Command): void {
  commands().set(command, run);
}

export function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpu: user + system, at: performance.now() * 1000 };
}

async function memory(): Promise<Memory> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await turn();
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

function commands(): Map<string, Command> {
  if (shared.benchCommands) return shared.benchCommands;
  shared.benchCommands = new Map<string, Command>([
    ["usage", usage],
    ["memory", memory],
  ]);
  process.on("disconnect", () => process.exit());
  process.on("message", (question: Question) => void reply(question));
  return shared.benchCommands;
}

async function reply({ id, command, argument }: Question): Promise<void> {
  const run = commands().get(command);
  // A child process may have other messages: only questions have a command.
  if (command === undefined) return;
  try {
    if (!run) throw new Error(`no command ${command}`);
    process.send?.({ id, result: await run(argument) } satisfies Answer);
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

commands();
