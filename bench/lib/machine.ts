import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly node: string;
  readonly platform: string;
  /** Placement of the processes on cores. */
  readonly pinning: string;
  /** Date in ISO 8601. */
  readonly date: string;
}

/** Servers run on core 0 and clients on core 1, when `taskset` and a second core exist. */
export const canPin = cpus().length > 1 && spawnSync("taskset", ["-c", "0,1", "true"]).status === 0;

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    pinning: canPin ? "server on core 0, client on core 1" : "none: needs taskset and two cores",
    date: new Date().toISOString(),
  };
}

/** The hard limit on open files of a process: Node raises its soft limit to it. */
export function fileLimit(): number {
  const limits = process.platform === "linux" ? readFileSync("/proc/self/limits", "utf8") : "";
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
}

export function requireFileLimit(wanted: number): void {
  const hard = fileLimit();
  if (hard >= wanted) return;
  throw new Error(`A process can open ${hard} files and needs ${wanted}. Run \`ulimit -Hn 65536\` as root.`);
}
