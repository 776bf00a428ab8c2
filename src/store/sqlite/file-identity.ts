import { realpathSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../contracts/errors.ts";

/**
 * Detects that the database's file or its write-ahead log was replaced or deleted while it is open. SQLite would go on
 * in the old files, and acknowledged messages would be lost.
 */
export class FileIdentity {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #opened: ReadonlyMap<string, string>;
  #lost = false;

  /** @param database open, and in WAL mode */
  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
    // SQLite follows a link before it names the log.
    const files = [path, `${realpathSync(path)}-wal`];
    this.#opened = new Map(files.map((file) => [file, identityOf(file)]));
  }

  /** @throws {StoreError} STORE_REFUSED, from then on: another process may have used a file that was put back */
  check(): void {
    if (!this.isLost()) return;
    const remedy = "restart this process, it then begins with what is there now";
    const failure = "was replaced or deleted while it was open";
    throw new StoreError("STORE_REFUSED", `${this.#path} ${failure}: ${remedy}`);
  }

  isLost(): boolean {
    if (this.#lost) return true;
    for (const [file, identity] of this.#opened) this.#lost ||= identityOf(file) !== identity;
    if (this.#lost) this.#emptyLog();
    return this.#lost;
  }

  /**
   * The log may still have its name, and SQLite would replay it into another file that is opened by the same path. This
   * moves its pages to the old file, by the descriptors that are open.
   */
  #emptyLog(): void {
    try {
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // Every call fails anyway.
    }
  }
}

/**
 * Never opens the file: closing it again would release SQLite's locks
 * (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
 */
function identityOf(file: string): string {
  try {
    // As bigints: inode numbers can be larger than a number holds exactly.
    const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
    return stats ? `${stats.dev} ${stats.ino}` : "";
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}
