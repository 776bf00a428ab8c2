import { StoreError } from "./contracts/errors.ts";

/**
 * When an item is due, in whole ms: never before its time.
 * @throws {StoreError} STORE_REFUSED: nothing would ever be due then
 */
export function parseDueTime(dueAt: number): number {
  const due = Math.ceil(dueAt);
  if (Number.isSafeInteger(due) && dueAt >= 0) return due;
  throw new StoreError("STORE_REFUSED", `A scheduled item can't be due at ${dueAt}: ms since the epoch`);
}
