import { randomUUID } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../contracts/errors.ts";
import { toStoreError } from "./errors.ts";

/** "Lift" in ASCII: identifies a file of this package. */
const APPLICATION_ID = 0x4c696674;
const VERSION = 4;

/**
 * `name`, `key` and `cursor` are JSON texts, because SQLite cannot store text that is not well-formed Unicode.
 * `first` is the oldest message without a gap after it; older ones stay only until they are delivered. `size` and
 * `age_ms` are the retention of the last append. `used_at` is the time of the last append, or when the last member
 * left; `generation` belongs to the channel's epoch. A bucket's generation is that of the next epoch of its channels
 * that have no row.
 */
const SCHEMA = `
  CREATE TABLE life (token TEXT NOT NULL) STRICT;
  CREATE TABLE channels (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    first INTEGER NOT NULL,
    size REAL NOT NULL,
    age_ms REAL NOT NULL
  ) STRICT;
  CREATE TABLE messages (
    channel INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    at REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (channel, offset)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE unfinished (
    channel INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    cursor TEXT,
    PRIMARY KEY (channel, offset)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE keys (
    channel INTEGER NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    offset INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (channel, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX keys_by_time ON keys (at);
  PRAGMA application_id = ${APPLICATION_ID};`;

/**
 * `owner`, `id`, `tenant` and `token` are JSON texts, as a channel's `name`; `details` is an object of the fields that no
 * statement needs. `lease_until` is set while PROCESSING, and `expires_at` once the request is final. Inputs, checkpoints and
 * results have tables of their own, because each can be large and a transition must not rewrite them.
 */
const REQUESTS = `
  CREATE TABLE requests (
    key INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    priority INTEGER NOT NULL,
    created_at REAL NOT NULL,
    details TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    updated_at REAL NOT NULL,
    due_at REAL NOT NULL,
    lease_until REAL,
    token TEXT,
    progress TEXT,
    failure TEXT,
    expires_at REAL,
    UNIQUE (owner, id)
  ) STRICT;
  CREATE INDEX requests_by_age ON requests (owner, created_at, id);
  CREATE INDEX requests_by_expiry ON requests (expires_at);
  CREATE INDEX requests_failed ON requests (state) WHERE state = 'FAILED';
  CREATE TABLE request_inputs (
    request INTEGER PRIMARY KEY REFERENCES requests (key) ON DELETE CASCADE,
    json TEXT NOT NULL
  ) STRICT;
  CREATE TABLE request_checkpoints (
    request INTEGER PRIMARY KEY REFERENCES requests (key) ON DELETE CASCADE,
    json TEXT NOT NULL
  ) STRICT;
  CREATE TABLE request_results (
    request INTEGER PRIMARY KEY REFERENCES requests (key) ON DELETE CASCADE,
    json TEXT NOT NULL
  ) STRICT;
  CREATE TABLE request_output (
    request INTEGER NOT NULL REFERENCES requests (key) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    at REAL NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (request, offset)
  ) STRICT, WITHOUT ROWID;`;

/** Migrations, each from one version to the next; the first one from 1 to 2. */
const MIGRATIONS = [
  `ALTER TABLE channels ADD COLUMN used_at REAL NOT NULL DEFAULT 0;
  ALTER TABLE channels ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE generations (bucket INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;`,
  REQUESTS,
  "ALTER TABLE request_output ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;",
];

/**
 * Opens the database for this process alone: its members are in memory, so fan-outs of another process would miss them.
 * @throws {StoreError} STORE_UNAVAILABLE: another process uses it; STORE_REFUSED: it is not a database of this package
 */
export function openDatabase(path: string, busyTimeoutMs: number): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    const { DatabaseSync } = loadSqlite();
    database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    refuseForeign(database, path);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
    const version = numberOf(database, "user_version");
    if (version === 0) {
      database.exec(SCHEMA);
      database.prepare("INSERT INTO life (token) VALUES (?)").run(randomUUID());
    }
    for (const migration of MIGRATIONS.slice(Math.max(version - 1, 0))) database.exec(migration);
    if (version < VERSION) database.exec(`PRAGMA user_version = ${VERSION}`);
    database.exec("COMMIT");
    return database;
  } catch (error) {
    database?.close();
    throw toStoreError(error, path);
  }
}

/** Runs before the first write, so that another program's file stays unchanged. */
function refuseForeign(database: DatabaseSync, path: string): void {
  const application = numberOf(database, "application_id");
  const version = numberOf(database, "user_version");
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() ?? {};
  if (application === 0 && version === 0 && tables === 0) return;
  if (application !== APPLICATION_ID) {
    throw new StoreError("STORE_REFUSED", `${path} is a database of another program: use another \`path\``);
  }
  if (version > VERSION) {
    const versions = `schema ${version}; this version supports up to ${VERSION}`;
    const remedy = `${path} was written by a later version of lift-ws (${versions}): update lift-ws`;
    throw new StoreError("STORE_REFUSED", remedy);
  }
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(database.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}

/** Loads SQLite on first use, and hides Node 22's warning that it is experimental. */
function loadSqlite(): typeof import("node:sqlite") {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}
