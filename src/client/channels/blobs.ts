import type { Clock } from "../clock.ts";
import { ClientError } from "../errors.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import { type RequestOptions, withTimeout } from "../requests/timeouts.ts";

/** Uploads a file by HTTP to the URL that the server returns. @returns the blob's name */
export async function upload(
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
export async function download(
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
