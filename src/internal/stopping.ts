import { readFileSync } from "node:fs";
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Time in which two signals are one key press, in ms: npm forwards a Ctrl-C that the terminal has already sent. */
const SAME_KEY_PRESS_MS = 500;

const LAUNCHER_CHECK_MS = 250;

/** Maximum number of processes between npm and this one: a shell, and tools that run several commands. */
const MAX_ANCESTORS = 6;

/**
 * Waits until the process should stop: at the first SIGINT, SIGTERM or SIGHUP, when the npm or npx that started it has
 * ended, or when the reader of its output is gone. A later signal exits at once with 128 plus its number.
 * @param say writes a line for the user
 * @param unneeded removes the listeners, and the promise stays pending: nothing has started that could be stopped
 * @returns the signal; `undefined` when npm or the reader is gone, because then nobody can send another signal
 */
export function waitForStop(
  say: (line: string) => void,
  unneeded?: AbortSignal,
): Promise<NodeJS.Signals | undefined> {
  return new Promise((resolve) => {
    let stoppedAt: number | undefined;
    const stop = (signal: (typeof SIGNALS)[number] | undefined): void => {
      if (stoppedAt === undefined) {
        stoppedAt = performance.now();
        stopWatching();
        say("\nStopping after running events have finished. Press Ctrl-C again to stop at once.");
        resolve(signal);
      } else if (signal !== undefined && performance.now() - stoppedAt > SAME_KEY_PRESS_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    // EPIPE or EIO: the reader or the terminal is gone. Without a listener, the error would end the process before its
    // events, or be logged as an uncaught exception in an endless loop.
    const streams = [process.stdout, process.stderr];
    const hangUp = () => stop(undefined);
    for (const stream of streams) stream.on("error", hangUp);
    const stopWatching = isForeground(process.env.npm_lifecycle_script)
      ? watchLauncher(() => stop(undefined))
      : () => {};
    unneeded?.addEventListener("abort", () => {
      for (const signal of SIGNALS) process.off(signal, stop);
      for (const stream of streams) stream.off("error", hangUp);
      stopWatching();
    });
  });
}

/**
 * Returns whether an npm script waits for this process; npx creates such a script too. A script that starts it in the
 * background or by another script may end while the process continues.
 */
export function isForeground(script = ""): boolean {
  return /\b(?:node|lift-ws)\b/.test(script) && !/(?:^|[^&>])&(?![&>])/.test(script);
}

/**
 * Calls `onGone` when npm has ended. npm runs scripts in a shell. A signal to npm ends both, but the shell forwards no
 * signal, so this process gets another parent. When npm is killed, the shell survives, so the shell's parent is watched
 * too. Without /proc the shell is replaced by the command, or it is not watched.
 */
function watchLauncher(onGone: () => void): () => void {
  const parents = listParents();
  const timer = setInterval(() => {
    if (isAdopted() || parents.some(([pid, parent]) => readParent(pid) !== parent)) onGone();
  }, LAUNCHER_CHECK_MS).unref();
  return () => clearInterval(timer);
}

/** Detects an npm that ended before this process started. In a container, npm itself may be process 1. */
function isAdopted(): boolean {
  return process.ppid === 1 && !/^(?:npm|node)/.test(readStatus(1)?.name ?? "");
}

type Parent = readonly [pid: number, parent: number | undefined];

function listParents(): readonly Parent[] {
  const parents: Parent[] = [[process.pid, process.ppid]];
  for (let pid = process.ppid; parents.length < MAX_ANCESTORS; ) {
    const status = readStatus(pid);
    if (status === undefined) break;
    // The process title of npm is `npm start` or `npm exec lift-ws`.
    if (status.name.startsWith("npm")) return parents;
    parents.push([pid, status.parent]);
    pid = status.parent;
  }
  return parents.slice(0, 1);
}

function readParent(pid: number): number | undefined {
  return pid === process.pid ? process.ppid : readStatus(pid)?.parent;
}

function readStatus(pid: number): { readonly name: string; readonly parent: number } | undefined {
  try {
    // `7 (npm start) S 1 …`: the name may contain any character, including parentheses.
    const [, name, parent] = /\((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return { name: name!, parent: Number(parent) };
  } catch {
    return undefined;
  }
}
