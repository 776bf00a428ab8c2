import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const IS_POSIX = process.platform !== "win32";

/** Keeps the last line it was told; at the end of its input, however that comes, it kills the groups in it. */
const SCRIPT =
  'groups=; while read -r line; do groups=$line; done; [ -z "$groups" ] || kill -s KILL -- $groups';

/**
 * Ends processes when this one has ended, by SIGKILL too: a frozen process can't notice that itself. It is a shell
 * that sleeps until then. Windows has neither, and nothing is frozen there.
 */
export class OrphanKiller {
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;

  /** @param pid of a process that leads a group of its own */
  add(pid: number): void {
    this.#groups.add(pid);
    this.#tell();
  }

  delete(pid: number): void {
    if (this.#groups.delete(pid)) this.#tell();
  }

  /** With nothing left to guard. Resolves when the shell is gone too. */
  async close(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell === undefined || shell.exitCode !== null) return;
    shell.ref();
    const ended = once(shell, "exit");
    shell.stdin?.end();
    await ended;
  }

  #tell(): void {
    if (!IS_POSIX) return;
    this.#shell ??= startShell();
    this.#shell.stdin?.write(`${[...this.#groups].map((pid) => `-${pid}`).join(" ")}\n`);
  }
}

function startShell(): ChildProcess {
  // A group of its own: what ends this process's group must not end it.
  const shell = spawn("/bin/sh", ["-c", SCRIPT], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  shell.stdin?.on("error", () => {});
  shell.on("error", () => {});
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return shell;
}
