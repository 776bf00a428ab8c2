import { resolve } from "node:path";
import { anyFunction, findOptionFault, type OptionChecks } from "../../internal/options.ts";
import { assertBlobKey, type BlobStore } from "../contracts/blobs.ts";
import { StoreError } from "../contracts/errors.ts";
import { Folder, isContentType } from "./folder.ts";
import { type Grant, Grants } from "./grants.ts";
import { BlobServer, REQUEST_MS } from "./server.ts";

/** Options of `fileBlobStore`. */
export interface FileBlobStoreOptions {
  /** Folder of the blobs, one file each. Created if missing; it should contain nothing else. */
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
  /** Aborts transfers and stops the server. Every later call rejects; files stay in the folder. */
  close(): Promise<void>;
}

/**
 * Creates a blob store in a folder, for development on one machine. It serves uploads and downloads on 127.0.0.1. The
 * server starts with the first call, and does not keep the process alive. URLs end with the process; blobs stay.
 *
 * The store removes no blobs and does not limit their number.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_REFUSED for an invalid key or content type, an
 * unusable folder, or a closed store
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
    if (closing !== undefined) throw new StoreError("STORE_REFUSED", "Blob store is closed");
    origin ??= listen();
    try {
      return `${await origin}${grants.pathOf(grant, expiresInMs)}`;
    } catch (cause) {
      origin = undefined;
      throw new StoreError(
        "STORE_REFUSED",
        "Cannot use the folder of the blob store; check `folder` and its permissions",
        { cause },
      );
    }
  };

  return {
    createUpload: async (key, { bytes, contentType }, expiresInMs) => {
      if (!isContentType(contentType)) {
        throw new StoreError(
          "STORE_REFUSED",
          "Invalid `contentType`; expected 1 to 255 printable ASCII characters",
        );
      }
      const url = await urlOf({ method: "PUT", key, bytes, contentType }, expiresInMs);
      // `content-length` follows from the body; browsers do not let pages set it.
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
