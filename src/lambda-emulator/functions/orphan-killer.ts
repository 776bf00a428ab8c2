import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const IS_POSIX = process.platform !== "win32";

/** Remembers the last line of its input. At the end of the input it kills the process groups in that line. */
const SCRIPT =
  'groups=; while read -r line; do groups=$line; done; [ -z "$groups" ] || kill -s KILL -- $groups';

/**
 * Kills processes when this one has ended, also by SIGKILL, because a frozen process cannot detect that itself. A shell
 * waits for it. Does nothing on Windows, which has no shell and where processes are not frozen.
 */
export class OrphanKiller {
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;

  /** @param pid of the leader of a process group */
  add(pid: number): void {
    this.#groups.add(pid);
    this.#sendGroups();
  }

  delete(pid: number): void {
    if (this.#groups.delete(pid)) this.#sendGroups();
  }

  /** Ends the shell. Call it when no process is left. Resolves when the shell has ended. */
  async close(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell === undefined || shell.exitCode !== null) return;
    shell.ref();
    const ended = once(shell, "exit");
    shell.stdin?.end();
    await ended;
  }

  #sendGroups(): void {
    if (!IS_POSIX) return;
    this.#shell ??= startShell();
    this.#shell.stdin?.write(`${[...this.#groups].map((pid) => `-${pid}`).join(" ")}\n`);
  }
}

function startShell(): ChildProcess {
  // In a group of its own, so that a signal to this process's group does not end it.
  const shell = spawn("/bin/sh", ["-c", SCRIPT], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  shell.stdin?.on("error", () => {});
  shell.on("error", () => {});
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return shell;
}
