import { resolve } from "node:path";
import { anyFunction, findOptionFault, integer, type OptionChecks } from "../../internal/options.ts";
import type { ChannelStore } from "../contracts/channels.ts";
import { StoreError } from "../contracts/errors.ts";
// Members and message chunks stay in memory: they end with the process, which has their sockets.
import { MemoryMembers } from "../memory/channel-members.ts";
import { MemoryMessageChunks } from "../memory/message-chunks.ts";
import { openDatabase } from "./database.ts";
import { SqliteHistory } from "./history.ts";

/** Options of `sqliteChannelStore`. */
export interface SqliteChannelStoreOptions {
  /** The database file, created when missing; its folder must exist. For `:memory:` use `memoryChannelStore`. */
  readonly path: string;
  /** How long opening waits for another process to release the file, in ms. Default 0; minimum 0. */
  readonly busyTimeoutMs?: number;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: OptionChecks<SqliteChannelStoreOptions> = {
  path: {
    test: (value) =>
      typeof value === "string" && value !== "" && value !== ":memory:" && !value.includes("\0"),
    expected: "the path of a file",
  },
  busyTimeoutMs: integer(0, 2 ** 31 - 1),
  now: anyFunction,
};

/**
 * Does not wait by default: the other process keeps the file until it ends, so waiting would only delay the error.
 */
const DEFAULT_BUSY_TIMEOUT_MS = 0;

/** A channel store whose history is in a file. */
export interface SqliteChannelStore extends ChannelStore {
  /**
   * Commits pending writes, and closes the file unless another store of this process uses it; later calls then reject.
   * A second `close` does nothing.
   */
  close(): void;
}

interface OpenFile {
  readonly history: SqliteHistory;
  readonly members: MemoryMembers;
  readonly parts: MemoryMessageChunks;
  stores: number;
}

/** Open stores by path, so that a reloaded app shares the file and keeps its members. */
const openFiles = new Map<string, OpenFile>();

/**
 * Creates a channel store for one process, whose history survives restarts. Messages, epochs, offsets, idempotency keys
 * and pending fan-outs are in a file, and on the disk before `append` resolves. Members and presence are in memory, and
 * empty after a restart. Two stores with the same `path` share one file, with the options of the first.
 *
 * Writes block the event loop while they wait for the disk. All writes of one turn share one transaction.
 * @throws {StoreError} INVALID_OPTION; STORE_UNAVAILABLE: another process uses the file; STORE_REFUSED: the file is not a
 * database, or belongs to another program or to a later version
 * @example
 * const store = sqliteChannelStore({ path: "channels.db" });
 */
export function sqliteChannelStore(options: SqliteChannelStoreOptions): SqliteChannelStore {
  const fault = findOptionFault(options, CHECKS, { required: ["path"] });
  if (fault !== undefined) throw new StoreError("INVALID_OPTION", fault);
  const path = resolve(options.path);
  const file = openFiles.get(path) ?? openFile(path, options);
  openFiles.set(path, file);
  file.stores++;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    if (--file.stores > 0) return;
    openFiles.delete(path);
    file.history.close();
  };
  return { history: file.history, members: file.members, chunks: file.parts, close };
}

function openFile(path: string, options: SqliteChannelStoreOptions): OpenFile {
  const { busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS, now = Date.now } = options;
  const members = new MemoryMembers(now, (channel) => history.touch(channel));
  const database = openDatabase(path, busyTimeoutMs);
  const history = new SqliteHistory(database, path, now, (channel) => members.has(channel));
  return { history, members, parts: new MemoryMessageChunks(), stores: 0 };
}
