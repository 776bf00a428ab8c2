import type { Clock } from "../clock.ts";
import { ClientError } from "../errors.ts";
import type { Requests } from "../requests/request-queue.ts";
import { type Patience, within } from "../requests/timeouts.ts";

/** Sends a file that is too large for a message by HTTP, to where the server says. @returns the blob's name */
export async function upload(
  clock: Clock,
  requests: Requests,
  channel: string,
  file: Blob,
  patience: Patience = {},
): Promise<string> {
  const asked = { channel, bytes: file.size, contentType: file.type || undefined };
  const { blob, url, headers } = await requests.ask("upload", asked, patience);
  await transfer(clock, url, patience, { method: "PUT", headers, body: file });
  return blob;
}

export async function download(
  clock: Clock,
  requests: Requests,
  channel: string,
  blob: string,
  patience: Patience = {},
): Promise<Response> {
  const { url } = await requests.ask("download", { channel, blob }, patience);
  return transfer(clock, url, patience);
}

async function transfer(
  clock: Clock,
  url: string,
  { signal }: Patience,
  init?: RequestInit,
): Promise<Response> {
  const response = await within(clock, { signal }, (ending) =>
    fetch(url, { ...init, signal: ending }).catch((cause: unknown) => cause),
  );
  if (response instanceof Response && response.ok) return response;
  throw new ClientError("TRANSFER_FAILED", "The transfer failed", { cause: response });
}
