import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../contracts/errors.ts";
import { toStoreError } from "./errors.ts";
import type { FileIdentity } from "./file-identity.ts";

/** Maximum number of writes in a transaction, because others wait meanwhile. */
const WORK_PER_COMMIT = 500;

interface Work {
  /** Throws a `StoreError` before it writes anything, or SQLite's error. */
  run(): unknown;
  readonly durable: boolean;
  resolve(value: unknown): void;
  reject(error: StoreError): void;
}

/** Commits all writes of one turn of the event loop in one transaction, so that they wait for the disk only once. */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #file: FileIdentity;
  #waiting: Work[] = [];
  #scheduled = false;
  #waitsForDisk = true;

  constructor(database: DatabaseSync, path: string, file: FileIdentity) {
    this.#database = database;
    this.#path = path;
    this.#file = file;
  }

  /**
   * Resolves when the work is committed.
   * @param options `durable`: waits for the disk. Without it a power failure may undo the work; a crash of the process does
   * not.
   */
  run<Value>(work: () => Value, { durable }: { readonly durable: boolean }): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      this.#waiting.push({ run: work, durable, resolve: resolve as (value: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Commits all waiting work now. */
  flush(): void {
    while (this.#waiting.length > 0) this.#commit(this.#waiting.splice(0, WORK_PER_COMMIT));
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // After the sockets' events of this turn.
    setImmediate(() => {
      this.#scheduled = false;
      this.#commit(this.#waiting.splice(0, WORK_PER_COMMIT));
      this.#schedule();
    });
  }

  #commit(group: readonly Work[]): void {
    const done: (() => void)[] = [];
    try {
      if (group.length > 0) this.#transact(group, done);
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec("ROLLBACK");
      const failure = toStoreError(error, this.#path);
      if (group.length === 1 || failure.code === "STORE_UNAVAILABLE") {
        for (const { reject } of group) reject(failure);
      } else for (const alone of group) this.#commit([alone]); // Otherwise one of them would fail the others.
      return;
    }
    for (const settle of done) settle();
  }

  #transact(group: readonly Work[], done: (() => void)[]): void {
    this.#file.check();
    this.#waitForDisk(group.some(({ durable }) => durable));
    this.#database.exec("BEGIN IMMEDIATE");
    for (const { run, resolve, reject } of group) {
      try {
        const value = run();
        done.push(() => resolve(value));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        done.push(() => reject(error));
      }
    }
    this.#database.exec("COMMIT");
  }

  /** The next commit that waits for the disk also flushes the ones before it. */
  #waitForDisk(waits: boolean): void {
    if (waits === this.#waitsForDisk) return;
    this.#database.exec(`PRAGMA synchronous = ${waits ? "FULL" : "NORMAL"}`);
    this.#waitsForDisk = waits;
  }
}
