import { type Checks, checkOptions as checkAgainst } from "../check-options.ts";

export interface FileBlobStoreOptions {
  /** Where the blobs are, a file each; made when it is not there. Nothing else should be in it. */
  readonly folder: string;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: Checks<FileBlobStoreOptions> = {
  folder: (value) => typeof value === "string" && value !== "" && !value.includes("\0"),
  now: (value) => typeof value === "function",
};

/** @throws {StoreError} INVALID_OPTION */
export function checkOptions(options: FileBlobStoreOptions): void {
  checkAgainst(options, CHECKS, ["folder"]);
}
