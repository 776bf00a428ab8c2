import type { Clock } from "./clock.ts";
import { ClientError } from "./errors.ts";
import type { Requests } from "./requests.ts";
import { type Patience, within } from "./waiting.ts";

/** What is too large for a message: it goes and comes by HTTP, to where the server says. */
export class Blobs {
  readonly #clock: Clock;
  readonly #requests: Requests;

  constructor(clock: Clock, requests: Requests) {
    this.#clock = clock;
    this.#requests = requests;
  }

  upload(channel: string, file: Blob, { signal: given, timeoutMs }: Patience = {}): Promise<string> {
    return within(this.#clock, { signal: given }, async (signal) => {
      const asked = { channel, bytes: file.size, contentType: file.type || undefined };
      const answer = await this.#requests.ask("upload", asked, { signal, timeoutMs });
      await transfer(answer.url, { method: "PUT", headers: answer.headers, body: file, signal });
      return answer.blob;
    });
  }

  download(channel: string, blob: string, { signal: given, timeoutMs }: Patience = {}): Promise<Response> {
    return within(this.#clock, { signal: given }, async (signal) => {
      const { url } = await this.#requests.ask("download", { channel, blob }, { signal, timeoutMs });
      return transfer(url, { signal });
    });
  }
}

async function transfer(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((cause: unknown) => cause);
  if (response instanceof Response && response.ok) return response;
  throw new ClientError("TRANSFER_FAILED", "The blob did not come through", { cause: response });
}
