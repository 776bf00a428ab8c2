import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError, type StoreErrorCode } from "../contracts/errors.ts";

/** SQLite's result codes that tell more than that it failed, with the remedy: https://www.sqlite.org/rescode.html */
const FAILURES = new Map<number, readonly [StoreErrorCode, string]>([
  [3, ["STORE_REFUSED", "may not be opened: make it readable and writable for this user"]],
  [5, ["STORE_UNAVAILABLE", "is in use by another process: stop that one, or give another path"]],
  [6, ["STORE_UNAVAILABLE", "is in use by another process: stop that one, or give another path"]],
  [7, ["STORE_UNAVAILABLE", "needs more memory than there is"]],
  [8, ["STORE_REFUSED", "is read-only: make the file and its folder writable for this user"]],
  [10, ["STORE_UNAVAILABLE", "could not be read or written: look at its disk"]],
  [11, ["STORE_REFUSED", "is damaged: restore a copy, or move it away to begin anew"]],
  [13, ["STORE_UNAVAILABLE", "has no room left on its disk: free some"]],
  [14, ["STORE_REFUSED", "can't be opened: make the file and its folder writable for this user"]],
  // SQLITE_IOERR_LOCK: a lock for writing on a file that may only be read, or on a disk that has none.
  [3850, ["STORE_REFUSED", "can't be locked: make it writable for this user, and keep it on a local disk"]],
  [26, ["STORE_REFUSED", "is not a database: give another path"]],
]);

const CANNOT_OPEN = 14;

/** Wraps an error of SQLite in the stores' own. */
export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const extended = (error as { errcode?: unknown } | null)?.errcode;
  // The lowest byte is the code, the rest details.
  const result = Number(extended) & 0xff;
  const [code, reason] = FAILURES.get(Number(extended)) ??
    FAILURES.get(result) ?? ["STORE_REFUSED", "failed"];
  const seen = result === CANNOT_OPEN ? obstacle(path) : undefined;
  return new StoreError(code, `${path} ${seen ?? reason}`, { cause: error });
}

/** SQLite has one code for all that keeps it from opening a file. */
function obstacle(path: string): string | undefined {
  const folder = dirname(path);
  const parent = statSync(folder, { throwIfNoEntry: false });
  if (parent === undefined) return `can't be made, as its folder is missing: make the folder ${folder}`;
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return "is a folder: give the path of a file";
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return `can't be written, as its folder is read-only: make ${folder} writable for this user`;
  }
  return undefined;
}
