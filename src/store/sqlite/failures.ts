import { StoreError, type StoreErrorCode } from "../errors.ts";

/** SQLite's result codes that tell more than that it failed: https://www.sqlite.org/rescode.html */
const FAILURES = new Map<number, readonly [StoreErrorCode, string]>([
  [3, ["STORE_REFUSED", "may not be opened"]],
  [5, ["STORE_UNAVAILABLE", "is in use by another process"]],
  [6, ["STORE_UNAVAILABLE", "is in use by another process"]],
  [7, ["STORE_UNAVAILABLE", "needs more memory than there is"]],
  [8, ["STORE_REFUSED", "can't be written to"]],
  [10, ["STORE_UNAVAILABLE", "could not be read or written"]],
  [11, ["STORE_REFUSED", "is damaged"]],
  [13, ["STORE_UNAVAILABLE", "has no room left on its disk"]],
  [14, ["STORE_REFUSED", "can't be opened: is its folder there?"]],
  [26, ["STORE_REFUSED", "is no database"]],
]);

/** What SQLite throws, as the stores' own error. */
export function storeErrorOf(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const extended = (error as { errcode?: unknown } | null)?.errcode;
  // The lowest byte is the code, the rest details.
  const [code, what] = FAILURES.get(Number(extended) & 0xff) ?? ["STORE_REFUSED", "failed"];
  return new StoreError(code, `${path} ${what}`, { cause: error });
}
