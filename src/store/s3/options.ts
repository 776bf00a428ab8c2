import type { S3Client } from "@aws-sdk/client-s3";
import { type Checks, checkOptions as checkAgainst } from "../check-options.ts";

export interface S3BlobStoreOptions {
  /** It is there already, is private, and lets the page's origin PUT and GET (CORS). */
  readonly bucket: string;
  /** What every key begins with, such as `blobs/`: up to 200 letters, digits, `-`, `_`, `.` and `/`. Default: nothing. */
  readonly prefix?: string;
  /** Default: from the environment. */
  readonly region?: string;
  /** Default: one of the store's own. The `region` has no say over it. */
  readonly client?: S3Client;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const isName = (value: unknown) => typeof value === "string" && value !== "";

const CHECKS: Checks<S3BlobStoreOptions> = {
  bucket: isName,
  prefix: (value) => typeof value === "string" && /^[\w./-]{0,200}$/.test(value),
  region: isName,
  client: (value) => typeof (value as { send?: unknown } | null)?.send === "function",
  now: (value) => typeof value === "function",
};

/** @throws {StoreError} INVALID_OPTION */
export function checkOptions(options: S3BlobStoreOptions): void {
  checkAgainst(options, CHECKS, ["bucket"]);
}
