import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../contracts/errors.ts";
import { openDatabase } from "./database.ts";
import { toStoreError } from "./errors.ts";
import { FileIdentity } from "./file-identity.ts";
import { GroupCommit } from "./group-commit.ts";

/** An open database file, which everything stored in it shares. */
export class DatabaseFile {
  readonly database: DatabaseSync;
  readonly path: string;
  readonly #identity: FileIdentity;
  readonly #commits: GroupCommit;

  /** @throws {StoreError} STORE_UNAVAILABLE or STORE_REFUSED: the file cannot be opened */
  constructor(path: string, busyTimeoutMs: number) {
    this.path = path;
    this.database = openDatabase(path, busyTimeoutMs);
    this.#identity = new FileIdentity(this.database, path);
    this.#commits = new GroupCommit(this.database, path, this.#identity);
  }

  get isOpen(): boolean {
    return this.database.isOpen;
  }

  /** @throws {StoreError} SQLite's error, wrapped; STORE_REFUSED: the file is closed or was replaced */
  read<Value>(read: () => Value): Value {
    this.refuseClosed();
    this.#identity.check();
    try {
      return read();
    } catch (error) {
      throw toStoreError(error, this.path);
    }
  }

  /**
   * Resolves when the work is committed, together with the other writes of this turn.
   * @param work throws a `StoreError` before it writes anything, or SQLite's error
   * @param options `durable`: waits for the disk. Without it a power failure may undo the work; a crash of the process does
   * not.
   */
  async write<Value>(work: () => Value, options: { readonly durable: boolean }): Promise<Value> {
    this.refuseClosed();
    return this.#commits.run(work, options);
  }

  /** @throws {StoreError} STORE_REFUSED */
  refuseClosed(): void {
    if (!this.isOpen) throw new StoreError("STORE_REFUSED", `${this.path} is closed`);
  }

  close(): void {
    if (!this.isOpen) return;
    this.#commits.flush();
    this.#identity.isLost(); // Empties the log of a lost file before another process can replay it.
    this.database.close();
  }
}
