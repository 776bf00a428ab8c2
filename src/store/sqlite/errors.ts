import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError, type StoreErrorCode } from "../contracts/errors.ts";

/** SQLite's result codes with a remedy: https://www.sqlite.org/rescode.html */
const ERRORS = new Map<number, readonly [StoreErrorCode, string]>([
  [3, ["STORE_REFUSED", "cannot be opened: make it readable and writable for this user"]],
  [5, ["STORE_UNAVAILABLE", "is in use by another process: stop that process, or use another `path`"]],
  [6, ["STORE_UNAVAILABLE", "is in use by another process: stop that process, or use another `path`"]],
  [7, ["STORE_UNAVAILABLE", "needs more memory than is available"]],
  [8, ["STORE_REFUSED", "is read-only: make the file and its folder writable for this user"]],
  [10, ["STORE_UNAVAILABLE", "could not be read or written: check its disk"]],
  [11, ["STORE_REFUSED", "is damaged: restore a backup, or move it away to start with an empty file"]],
  [13, ["STORE_UNAVAILABLE", "has no space left on its disk: free some"]],
  [14, ["STORE_REFUSED", "cannot be opened: make the file and its folder writable for this user"]],
  // SQLITE_IOERR_LOCK: a write lock on a read-only file, or on a disk without locks.
  [3850, ["STORE_REFUSED", "cannot be locked: make it writable for this user, and keep it on a local disk"]],
  [26, ["STORE_REFUSED", "is not a database: use another `path`"]],
]);

const CANNOT_OPEN = 14;

/** Wraps an error of SQLite in a `StoreError`. */
export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const extended = (error as { errcode?: unknown } | null)?.errcode;
  // The lowest byte is the result code; the others are details.
  const result = Number(extended) & 0xff;
  const [code, reason] = ERRORS.get(Number(extended)) ?? ERRORS.get(result) ?? ["STORE_REFUSED", "failed"];
  const obstacle = result === CANNOT_OPEN ? findObstacle(path) : undefined;
  return new StoreError(code, `${path} ${obstacle ?? reason}`, { cause: error });
}

/** SQLite has one code for every reason why a file cannot be opened. */
function findObstacle(path: string): string | undefined {
  const folder = dirname(path);
  const parent = statSync(folder, { throwIfNoEntry: false });
  if (parent === undefined) return `cannot be created because its folder is missing: create ${folder}`;
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return "is a folder: use the path of a file";
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return `cannot be written because its folder is read-only: make ${folder} writable for this user`;
  }
  return undefined;
}
