import { realpathSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../contracts/errors.ts";

/**
 * Detects that the database file or its write-ahead log was replaced or deleted while open. SQLite would continue in
 * the old files, and acknowledged messages would be lost.
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
    // SQLite resolves symbolic links before it names the log.
    const files = [path, `${realpathSync(path)}-wal`];
    this.#opened = new Map(files.map((file) => [file, identityOf(file)]));
  }

  /**
   * Throws once a file was replaced.
   * @throws {StoreError} STORE_REFUSED, from then on: another process may have used a file that was restored
   */
  check(): void {
    if (!this.isLost()) return;
    const remedy = "restart this process to continue with the current file";
    const failure = "was replaced or deleted while open";
    throw new StoreError("STORE_REFUSED", `${this.#path} ${failure}: ${remedy}`);
  }

  isLost(): boolean {
    if (this.#lost) return true;
    for (const [file, identity] of this.#opened) this.#lost ||= identityOf(file) !== identity;
    if (this.#lost) this.#emptyLog();
    return this.#lost;
  }

  /**
   * Empties the log, which may still have its name: SQLite would replay it into another file opened by the same path.
   * This writes its pages to the old file through the open descriptors.
   */
  #emptyLog(): void {
    try {
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // Every later call fails anyway.
    }
  }
}

/**
 * Does not open the file, because closing it would release SQLite's locks
 * (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
 */
function identityOf(file: string): string {
  try {
    // Bigints, because inode numbers may exceed a number's precision.
    const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
    return stats ? `${stats.dev} ${stats.ino}` : "";
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}
