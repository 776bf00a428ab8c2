import { StoreError } from "./errors.ts";

/** The HTTP PUT request that uploads a blob. */
export interface BlobUpload {
  /** The URL that accepts the upload. */
  readonly url: string;
  /** Headers that the request must have. */
  readonly headers: { readonly [name: string]: string };
}

/**
 * Stores blobs: data that is too large for a message. A blob's key has 1 to 200 letters, digits, `-`, `_` and `/`. The
 * caller puts the tenant into the key and never uses a key for two blobs. Every implementation guarantees:
 *
 * - An upload allows to put that blob, with exactly that many bytes, until it expires, and nothing else.
 * - A download URL allows to read that blob until it expires, and nothing else.
 */
export interface BlobStore {
  /**
   * @param expiresInMs 1,000 or more
   * @throws {StoreError} STORE_REFUSED when the key is invalid
   */
  createUpload(
    key: string,
    blob: { readonly bytes: number; readonly contentType: string },
    expiresInMs: number,
  ): Promise<BlobUpload>;

  /**
   * Does not check whether the blob exists.
   * @param expiresInMs 1,000 or more
   * @throws {StoreError} STORE_REFUSED when the key is invalid
   */
  createDownloadUrl(key: string, expiresInMs: number): Promise<string>;
}

const KEY = /^[A-Za-z0-9_/-]{1,200}$/;

/**
 * Checks a blob's key. For implementations of `BlobStore`.
 * @throws {StoreError} STORE_REFUSED
 * @example
 * assertBlobKey("../etc/passwd"); // throws
 */
export function assertBlobKey(key: string): void {
  if (KEY.test(key)) return;
  throw new StoreError("STORE_REFUSED", "Invalid blob key; expected 1 to 200 letters, digits, -, _ and /");
}
