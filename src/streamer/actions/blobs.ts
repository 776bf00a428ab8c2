import { hash, randomUUID } from "node:crypto";
import { LiftError } from "../../lift/index.ts";
import type { DownloadPayload, DownloadResult, UploadPayload } from "../../protocol/index.ts";
import type { BlobStore } from "../../store/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import type { Channel, Channels } from "../channels.ts";
import { awaitStore } from "../errors.ts";
import { enforceRate } from "../rates.ts";
import { sendResponse } from "../responses.ts";

/** ms for which a URL is valid: 15 minutes, enough for a slow connection. */
const URL_TTL_MS = 15 * 60_000;

const BLOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Handles `upload` and `download`: both give out URLs of the blob store. */
export class BlobActions {
  readonly #channels: Channels;
  readonly #blobs: BlobStore | undefined;
  readonly #now: () => number;

  constructor(channels: Channels, blobs: BlobStore | undefined, now: () => number) {
    this.#channels = channels;
    this.#blobs = blobs;
    this.#now = now;
  }

  /** The server chooses the blob's ID, which reveals nothing about its location. */
  async upload(payload: UploadPayload, request: ClientRequest): Promise<void> {
    const { identity } = request;
    const { bytes, contentType = "application/octet-stream" } = payload;
    const channel = this.#channels.get(payload.channel, identity);
    await authorize("publish", identity, channel);
    const store = this.#requireStore(channel);
    const { maxBlobBytes } = channel.namespace;
    if (bytes > maxBlobBytes) {
      const message = `The blob has ${bytes} bytes; the namespace accepts at most ${maxBlobBytes}`;
      throw new LiftError("TOO_LARGE", { status: 413, message });
    }
    await enforceRate("upload", channel, request);
    const blob = randomUUID();
    const expiresAt = this.#now() + URL_TTL_MS;
    const { url, headers } = await awaitStore(
      store.createUpload(toBlobKey(channel, blob), { bytes, contentType }, URL_TTL_MS),
    );
    await sendResponse<"upload">(request, { blob, url, headers, expiresAt });
  }

  async download({ channel: name, blob }: DownloadPayload, request: ClientRequest): Promise<void> {
    const { identity } = request;
    const channel = this.#channels.get(name, identity);
    await authorize("subscribe", identity, channel);
    await sendResponse<"download">(request, await this.downloadUrl(channel, blob));
  }

  /** @throws {LiftError} NOT_FOUND when the namespace has no blobs; VALIDATION_ERROR; STORE_FAILED */
  async downloadUrl(channel: Channel, blob: string): Promise<DownloadResult> {
    const store = this.#requireStore(channel);
    if (!BLOB_ID.test(blob)) throw new LiftError("VALIDATION_ERROR", { message: "Invalid blob ID" });
    const expiresAt = this.#now() + URL_TTL_MS;
    return {
      url: await awaitStore(store.createDownloadUrl(toBlobKey(channel, blob), URL_TTL_MS)),
      expiresAt,
    };
  }

  #requireStore({ namespace }: Channel): BlobStore {
    if (this.#blobs !== undefined && namespace.maxBlobBytes > 0) return this.#blobs;
    throw new LiftError("NOT_FOUND", { message: "The namespace has no blobs" });
  }
}

/** The channel's key is part of it, so the same ID in another channel or tenant is another blob. */
function toBlobKey({ key }: Channel, blob: string): string {
  return `${hash("sha256", key, "base64url")}/${blob}`;
}
