import { StoreError } from "./errors.ts";

const KEY = /^[A-Za-z0-9_/-]{1,200}$/;

export function isBlobKey(key: string): boolean {
  return KEY.test(key);
}

/** @throws {StoreError} STORE_REFUSED */
export function assertBlobKey(key: string): void {
  if (isBlobKey(key)) return;
  throw new StoreError("STORE_REFUSED", "A blob's key has 1 to 200 letters, digits, -, _ and /");
}
