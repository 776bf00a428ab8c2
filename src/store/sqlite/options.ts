import { type Checks, checkOptions as checkAgainst } from "../check-options.ts";

export interface SqliteChannelStoreOptions {
  /** The database's file, made when it is not there; its folder must be. Not `:memory:`: that is `memoryChannelStore`. */
  readonly path: string;
  /** ms that opening waits for another process to let go of the file. Default 0; minimum 0. */
  readonly busyTimeoutMs?: number;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: Checks<SqliteChannelStoreOptions> = {
  path: (value) => typeof value === "string" && value !== "" && value !== ":memory:" && !value.includes("\0"),
  busyTimeoutMs: (value) => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 31,
  now: (value) => typeof value === "function",
};

/** @throws {StoreError} INVALID_OPTION */
export function checkOptions(options: SqliteChannelStoreOptions): void {
  checkAgainst(options, CHECKS, ["path"]);
}
