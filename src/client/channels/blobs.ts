import type { ChannelIn, JsonNamespaces, Namespaces } from "../../protocol/index.ts";
import type { ClientCore } from "../core.ts";
import { ClientError } from "../errors.ts";
import type { ClientFeature } from "../feature.ts";
import { type RequestOptions, withTimeout } from "../requests/timeouts.ts";

/** The methods of the feature `blobs`. */
export interface BlobMethods<Types extends Namespaces = JsonNamespaces> {
  /**
   * Uploads a file that is too large for a message, and resolves with the blob's name, to publish. `timeoutMs` limits the
   * server's response, `signal` the whole upload.
   * @throws {ClientError} the server's codes, TRANSFER_FAILED, ABORTED
   */
  upload(channel: ChannelIn<Types>, file: Blob, options?: RequestOptions): Promise<string>;
  /** Downloads a blob of the channel. @throws {ClientError} as `upload` */
  download(channel: ChannelIn<Types>, blob: string, options?: RequestOptions): Promise<Response>;
}

/**
 * Files that are too large for a message: `upload`, `download`.
 * @example
 * const client = createClient({ url, use: [blobs()] });
 */
export function blobs(): ClientFeature {
  return { install: installBlobs };
}

function installBlobs({ settings: { clock }, requests }: ClientCore): BlobMethods {
  /** Sends an HTTP request to a URL from the server. @throws {ClientError} TRANSFER_FAILED, ABORTED */
  const transfer = async (url: string, { signal }: RequestOptions, init?: RequestInit) => {
    const response = await withTimeout(clock, { signal }, (ending) =>
      fetch(url, { ...init, signal: ending }).catch((cause: unknown) => cause),
    );
    if (response instanceof Response && response.ok) return response;
    throw new ClientError("TRANSFER_FAILED", "The transfer failed", { cause: response });
  };
  return {
    async upload(channel, file, options = {}) {
      const payload = { channel, bytes: file.size, contentType: file.type || undefined };
      const { blob, url, headers } = await requests.request("upload", payload, options);
      await transfer(url, options, { method: "PUT", headers, body: file });
      return blob;
    },
    async download(channel, blob, options = {}) {
      const { url } = await requests.request("download", { channel, blob }, options);
      return transfer(url, options);
    },
  };
}
