import type { ChannelStore } from "../channels.ts";
// Who is in a channel dies with the process, whose sockets they are.
import { MemoryMembers } from "../memory/channel-members.ts";
import { openDatabase } from "./database.ts";
import { SqliteHistory } from "./history.ts";
import { checkOptions, type SqliteChannelStoreOptions } from "./options.ts";

const DEFAULT_BUSY_TIMEOUT_MS = 5_000;

export interface SqliteChannelStore extends ChannelStore {
  /** Writes what was asked, and lets go of the file. Every later call rejects. Closing twice is closing once. */
  close(): void;
}

/**
 * Channels of one process, whose history outlives it: messages, epochs, heads, idempotency keys and unfinished
 * fan-outs are in a file, on the disk before `append` resolves. Members and presence are in memory, and begin empty.
 *
 * Every write waits for the disk in the process's own thread; those of one turn of its event loop wait together.
 * @throws {StoreError} INVALID_OPTION; STORE_UNAVAILABLE: another process has the file; STORE_REFUSED: it is no
 * database, another program's, or a later version's
 */
export function sqliteChannelStore(options: SqliteChannelStoreOptions): SqliteChannelStore {
  checkOptions(options);
  const { path, busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS, now = Date.now } = options;
  const history = new SqliteHistory(openDatabase(path, busyTimeoutMs), path);
  return { history, members: new MemoryMembers(now), close: () => history.close() };
}
