import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach } from "vitest";
import {
  type SqliteChannelStore,
  type SqliteChannelStoreOptions,
  sqliteChannelStore,
} from "../../src/store/sqlite/index.ts";

export interface SqliteFiles {
  readonly folder: string;
  /** @returns the path of a file that does not exist yet */
  newPath(): string;
  /** Opens a store, which is closed after the test. */
  open(path: string, options?: Omit<SqliteChannelStoreOptions, "path">): SqliteChannelStore;
  /** Reads or changes a file with SQL of the test's own. */
  edit<Value>(path: string, work: (database: DatabaseSync) => Value): Value;
}

/** SQLite files in a temporary folder, which is removed after the last test of the file that calls this. */
export function sqliteFiles(): SqliteFiles {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-sqlite-"));
  const opened: SqliteChannelStore[] = [];
  let files = 0;
  afterEach(() => {
    for (const store of opened.splice(0)) store.close();
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return {
    folder,
    newPath: () => join(folder, `${files++}.db`),
    open: (path, options) => {
      const store = sqliteChannelStore({ path, busyTimeoutMs: 0, ...options });
      opened.push(store);
      return store;
    },
    edit: (path, work) => {
      const database = new DatabaseSync(path);
      try {
        return work(database);
      } finally {
        database.close();
      }
    },
  };
}
