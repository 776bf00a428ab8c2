/**
 * Loaded into every child process with `--import`: runs the bench's commands over IPC, and ends the process when the
 * bench ends.
 */
import { setImmediate as turn } from "node:timers/promises";

export interface Usage {
  /** CPU time in µs: user and system, all threads. */
  readonly cpu: number;
  /** Monotonic time in µs. */
  readonly at: number;
}

export interface Memory {
  /** Resident bytes after a full collection. */
  readonly rss: number;
  /** Bytes of the heap and external memory after a full collection. */
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

// biome-ignore lint/suspicious/noExplicitAny: each command defines its own argument
type Command = (argument: any) => unknown;

// On globalThis, because a preloaded module and an imported one may be two instances.
const shared = globalThis as { benchCommands?: Map<string, Command> };

/** Registers a command for the bench. */
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
  // Other messages may arrive here too. Only requests of the bench have a command.
  if (command === undefined) return;
  try {
    if (!run) throw new Error(`Unknown command ${command}`);
    process.send?.({ id, result: await run(argument) } satisfies Answer);
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

commands();
