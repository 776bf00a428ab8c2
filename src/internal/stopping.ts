import { readFileSync } from "node:fs";
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** npm forwards a Ctrl-C that its child has had from the terminal already: one key press, two signals. */
const SAME_KEY_PRESS_MS = 500;

const LAUNCHER_CHECK_MS = 250;

/** From npm down to this process there are a shell and few others: a tool that runs several commands, say. */
const MAX_ANCESTORS = 6;

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP, when npm or npx has started this process and has ended, or when
 * nobody reads its output any more; a later signal exits at once, with 128 and its number.
 * @returns the signal; `undefined`: the process is on its own, so nobody can send another
 */
export function waitForStop(say: (line: string) => void): Promise<NodeJS.Signals | undefined> {
  return new Promise((resolve) => {
    let stoppedAt: number | undefined;
    const stop = (signal: (typeof SIGNALS)[number] | undefined): void => {
      if (stoppedAt === undefined) {
        stoppedAt = performance.now();
        stopWatching();
        say("\nStopping: events under way may end. Once more stops at once.");
        resolve(signal);
      } else if (signal !== undefined && performance.now() - stoppedAt > SAME_KEY_PRESS_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    // EPIPE or EIO: the reader of the log or the terminal has gone. Unhandled, it would end the process before its events,
    // or come back as an uncaught exception that is logged again, for ever.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop(undefined));
    const stopWatching = isForeground(process.env.npm_lifecycle_script)
      ? watchLauncher(() => stop(undefined))
      : () => {};
  });
}

/**
 * Whether a script of package.json (npx makes one too) waits for this process. One that starts it in the background, or
 * by another script, may end and mean it to go on.
 */
export function isForeground(script = ""): boolean {
  return /\b(?:node|lift-ws)\b/.test(script) && !/(?:^|[^&>])&(?![&>])/.test(script);
}

/**
 * npm runs scripts by a shell. A signal to npm ends both, and the shell forwards none: this process then gets another
 * parent. When npm is killed the shell lives on, so its parent is watched as well; where there is no /proc, the shell
 * is replaced by the command or is not watched.
 */
function watchLauncher(gone: () => void): () => void {
  const parents = listParents();
  const timer = setInterval(() => {
    if (isAdopted() || parents.some(([pid, parent]) => parentOf(pid) !== parent)) gone();
  }, LAUNCHER_CHECK_MS).unref();
  return () => clearInterval(timer);
}

/** npm may have ended before this process began. In a container npm itself may be process 1. */
function isAdopted(): boolean {
  return process.ppid === 1 && !/^(?:npm|node)/.test(statusOf(1)?.name ?? "");
}

type Parent = readonly [pid: number, parent: number | undefined];

function listParents(): readonly Parent[] {
  const parents: Parent[] = [[process.pid, process.ppid]];
  for (let pid = process.ppid; parents.length < MAX_ANCESTORS; ) {
    const status = statusOf(pid);
    if (status === undefined) break;
    // npm calls itself `npm start`, `npm exec lift-ws`.
    if (status.name.startsWith("npm")) return parents;
    parents.push([pid, status.parent]);
    pid = status.parent;
  }
  return parents.slice(0, 1);
}

function parentOf(pid: number): number | undefined {
  return pid === process.pid ? process.ppid : statusOf(pid)?.parent;
}

function statusOf(pid: number): { readonly name: string; readonly parent: number } | undefined {
  try {
    // `7 (npm start) S 1 …`: the name may hold anything, parentheses too.
    const [, name, parent] = /\((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return { name: name!, parent: Number(parent) };
  } catch {
    return undefined;
  }
}
