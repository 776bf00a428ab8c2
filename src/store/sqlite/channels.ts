import { resolve } from "node:path";
import { anyFunction, findOptionFault, integer, type OptionChecks } from "../../internal/options.ts";
import type { ChannelStore } from "../contracts/channels.ts";
import { StoreError } from "../contracts/errors.ts";
import type { RequestStore } from "../contracts/requests.ts";
// Members and message chunks stay in memory: they end with the process, which has their sockets.
import { MemoryMembers } from "../memory/channel-members.ts";
import { MemoryMessageChunks } from "../memory/message-chunks.ts";
import { DatabaseFile } from "./database-file.ts";
import { SqliteHistory } from "./history.ts";
import { SqliteRequests } from "./requests.ts";

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

/** A channel store whose history and requests are in a file. */
export interface SqliteChannelStore extends ChannelStore {
  /** Long requests. */
  readonly requests: RequestStore;
  /**
   * Commits pending writes, and closes the file unless another store of this process uses it; later calls then reject.
   * A second `close` does nothing.
   */
  close(): void;
}

interface OpenFile {
  readonly file: DatabaseFile;
  readonly store: Omit<SqliteChannelStore, "close">;
  /** Number of stores that use the file. */
  stores: number;
}

/** Open stores by path, so that a reloaded app shares the file and keeps its members. */
const openFiles = new Map<string, OpenFile>();

/**
 * Creates a channel store for one process, whose history and requests survive restarts. Messages, epochs, offsets,
 * idempotency keys and pending fan-outs are in a file, and on the disk before `append` resolves; so are requests, their
 * output and results. Members and presence are in memory, and empty after a restart. Two stores with the same `path` share
 * one file, with the options of the first.
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
  const open = openFiles.get(path) ?? openFile(path, options);
  openFiles.set(path, open);
  open.stores++;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    if (--open.stores > 0) return;
    openFiles.delete(path);
    open.file.close();
  };
  return { ...open.store, close };
}

function openFile(path: string, options: SqliteChannelStoreOptions): OpenFile {
  const { busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS, now = Date.now } = options;
  const file = new DatabaseFile(path, busyTimeoutMs);
  try {
    return { file, store: createPorts(file, now), stores: 0 };
  } catch (error) {
    file.close();
    throw error;
  }
}

function createPorts(file: DatabaseFile, now: () => number): Omit<SqliteChannelStore, "close"> {
  // `history` is read only when the function is called.
  const members = new MemoryMembers(now, (channel) => history.touch(channel));
  const history = new SqliteHistory(file, now, (channel) => members.has(channel));
  return { history, members, chunks: new MemoryMessageChunks(), requests: new SqliteRequests(file, now) };
}
