import { StoreError } from "./contracts/errors.ts";

const KEY = /^[A-Za-z0-9_/-]{1,200}$/;

/** @throws {StoreError} STORE_REFUSED */
export function assertBlobKey(key: string): void {
  if (KEY.test(key)) return;
  throw new StoreError("STORE_REFUSED", "A blob's key has 1 to 200 letters, digits, -, _ and /");
}
