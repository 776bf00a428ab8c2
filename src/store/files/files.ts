import { resolve } from "node:path";
import { anyFunction, findOptionFault, type OptionChecks } from "../../internal/options.ts";
import { assertBlobKey, type BlobStore } from "../contracts/blobs.ts";
import { StoreError } from "../contracts/errors.ts";
import { Folder, isContentType } from "./folder.ts";
import { type Grant, Grants } from "./grants.ts";
import { BlobServer, REQUEST_MS } from "./server.ts";

/** Options of `fileBlobStore`. */
export interface FileBlobStoreOptions {
  /** The folder of the blobs, one file each; created when missing. Nothing else should be in it. */
  readonly folder: string;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: OptionChecks<FileBlobStoreOptions> = {
  folder: {
    test: (value) => typeof value === "string" && value !== "" && !value.includes("\0"),
    expected: "a path",
  },
  now: anyFunction,
};

/** A blob store in a folder. */
export interface FileBlobStore extends BlobStore {
  /** Breaks off what is under way, and ends its server. Every later call rejects; what is in the folder stays. */
  close(): Promise<void>;
}

/**
 * Blobs in a folder, for development, on one machine: a server of its own on 127.0.0.1 takes them and gives them back.
 * It listens from the first call on, and keeps no process alive. The URLs end with the process, the blobs do not.
 *
 * Nothing removes a blob, and nothing limits how many there are: that is up to whoever has the folder.
 * @throws {StoreError} INVALID_OPTION here; from its methods STORE_REFUSED: the key or the content type is none, the
 * folder can't be had, or it is closed
 * @example
 * const blobs = fileBlobStore({ folder: "blobs" });
 */
export function fileBlobStore(options: FileBlobStoreOptions): FileBlobStore {
  const fault = findOptionFault(options, CHECKS, { required: ["folder"] });
  if (fault !== undefined) throw new StoreError("INVALID_OPTION", fault);
  const { now = Date.now } = options;
  const folder = new Folder(resolve(options.folder));
  const grants = new Grants(now);
  const server = new BlobServer(folder, grants);
  let origin: Promise<string> | undefined;
  let closing: Promise<void> | undefined;

  const listen = async () => {
    await folder.open(REQUEST_MS);
    return server.listen();
  };

  const urlOf = async (grant: Grant, expiresInMs: number): Promise<string> => {
    assertBlobKey(grant.key);
    if (closing !== undefined) throw new StoreError("STORE_REFUSED", "The store is closed");
    origin ??= listen();
    try {
      return `${await origin}${grants.pathOf(grant, expiresInMs)}`;
    } catch (cause) {
      origin = undefined;
      throw new StoreError("STORE_REFUSED", "The blobs' folder can't be had", { cause });
    }
  };

  return {
    createUpload: async (key, { bytes, contentType }, expiresInMs) => {
      if (!isContentType(contentType)) {
        throw new StoreError("STORE_REFUSED", "A content type has 1 to 255 printable characters");
      }
      const url = await urlOf({ method: "PUT", key, bytes, contentType }, expiresInMs);
      // Whoever sends the bytes sets content-length by them; a browser lets nobody else.
      return { url, headers: { "content-type": contentType } };
    },
    createDownloadUrl: (key, expiresInMs) => urlOf({ method: "GET", key }, expiresInMs),
    close: () => {
      closing ??= (async () => {
        const listening = await origin?.then(() => true).catch(() => false);
        if (listening) await server.close();
      })();
      return closing;
    },
  };
}
