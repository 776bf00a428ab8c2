import type { ChannelIn, JsonNamespaces, Namespaces } from "../../protocol/index.ts";
import type { Clock } from "../clock.ts";
import type { ClientCore } from "../core.ts";
import { ClientError } from "../errors.ts";
import type { ClientFeature } from "../feature.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
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
  return {
    install: ({ settings: { clock }, requests }: ClientCore): BlobMethods => ({
      upload: (channel, file, options) => upload(clock, requests, channel, file, options),
      download: (channel, blob, options) => download(clock, requests, channel, blob, options),
    }),
  };
}

/** Uploads a file by HTTP to the URL that the server returns. @returns the blob's name */
async function upload(
  clock: Clock,
  requests: RequestQueue,
  channel: string,
  file: Blob,
  patience: RequestOptions = {},
): Promise<string> {
  const payload = { channel, bytes: file.size, contentType: file.type || undefined };
  const { blob, url, headers } = await requests.request("upload", payload, patience);
  await transfer(clock, url, patience, { method: "PUT", headers, body: file });
  return blob;
}

/** Downloads a blob by HTTP from the URL that the server returns. */
async function download(
  clock: Clock,
  requests: RequestQueue,
  channel: string,
  blob: string,
  patience: RequestOptions = {},
): Promise<Response> {
  const { url } = await requests.request("download", { channel, blob }, patience);
  return transfer(clock, url, patience);
}

async function transfer(
  clock: Clock,
  url: string,
  { signal }: RequestOptions,
  init?: RequestInit,
): Promise<Response> {
  const response = await withTimeout(clock, { signal }, (ending) =>
    fetch(url, { ...init, signal: ending }).catch((cause: unknown) => cause),
  );
  if (response instanceof Response && response.ok) return response;
  throw new ClientError("TRANSFER_FAILED", "The transfer failed", { cause: response });
}
