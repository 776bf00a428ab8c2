import { hash, randomUUID } from "node:crypto";
import { isRecord } from "../../internal/options.ts";
import { LiftError } from "../../lift/index.ts";
import { type DownloadResult, LIMITS, utf8Length } from "../../protocol/index.ts";
import {
  type BlobStore,
  type Json,
  MAX_RESULT_BYTES,
  type RequestKey,
  type RequestStore,
  StoreError,
  type TimeBudget,
} from "../../store/index.ts";
import { awaitStore } from "../errors.ts";
import { keyOf } from "./request-keys.ts";

/** A result: its JSON, or the blob that has it. */
export type RequestResult = { readonly json: Json } | { readonly blob: string; readonly bytes: number };

/** ms for which a URL is valid: 15 minutes, enough for a slow connection. */
const URL_TTL_MS = 15 * 60_000;

/** The only field of a stored value that is no result itself, but holds one or names its blob. */
const ENVELOPE = "~lift";

/** Reads results, and writes those to the blob store that are too large for a request store. */
export class RequestResults {
  /** The largest result, in bytes of JSON. */
  readonly maxBytes: number;
  readonly #store: RequestStore;
  readonly #blobs: BlobStore | undefined;
  readonly #now: () => number;

  /** @param now ms since the epoch */
  constructor(store: RequestStore, blobs: BlobStore | undefined, maxBytes: number, now: () => number) {
    this.#store = store;
    this.#blobs = blobs;
    this.maxBytes = maxBytes;
    this.#now = now;
  }

  /** Returns what to store in the request's row. */
  toRow(result: RequestResult): Json {
    if ("blob" in result) return { [ENVELOPE]: { blob: result.blob, bytes: result.bytes } };
    const { json } = result;
    return isRecord(json) && Object.hasOwn(json, ENVELOPE) ? { [ENVELOPE]: { json } } : json;
  }

  /** Writes a large result to the blob store. A smaller one waits for its row. @throws {StoreError} */
  async write(key: RequestKey, json: Json, signal: AbortSignal): Promise<RequestResult> {
    const body = Buffer.from(JSON.stringify(json));
    if (body.length <= MAX_RESULT_BYTES || this.#blobs === undefined) return { json };
    // A random name: a worker that has lost its lease overwrites nothing.
    const blob = randomUUID();
    const description = { bytes: body.length, contentType: "application/json" };
    const upload = await this.#blobs.createUpload(toBlobKey(key, blob), description, URL_TTL_MS);
    await put(upload.url, { headers: upload.headers, body, signal });
    return { blob, bytes: body.length };
  }

  /** Reads a result. @returns `undefined` unless the request is COMPLETED @throws {LiftError} STORE_FAILED */
  async read(key: RequestKey, budget: TimeBudget | undefined): Promise<RequestResult | undefined> {
    const found = await awaitStore(this.#store.readResult(key, budget));
    if (found === undefined) return undefined;
    const { result } = found;
    const isEnvelope = isRecord(result) && Object.hasOwn(result, ENVELOPE);
    return isEnvelope ? (result[ENVELOPE] as RequestResult) : { json: result };
  }

  /** @throws {LiftError} NOT_FOUND when the application has no blob store any more; STORE_FAILED */
  async downloadUrl(key: RequestKey, blob: string): Promise<DownloadResult> {
    if (this.#blobs === undefined) throw new LiftError("NOT_FOUND", { message: "The server has no `blobs`" });
    const expiresAt = this.#now() + URL_TTL_MS;
    const url = await awaitStore(this.#blobs.createDownloadUrl(toBlobKey(key, blob), URL_TTL_MS));
    return { url, expiresAt };
  }
}

/** The result, or its size when it is too large for a message. */
export function resultFields(
  result: RequestResult,
): { readonly result: Json } | { readonly result_bytes: number } {
  if ("blob" in result) return { result_bytes: result.bytes };
  const bytes = utf8Length(JSON.stringify(result.json));
  return bytes <= LIMITS.resultBytes ? { result: result.json } : { result_bytes: bytes };
}

/** The request's key is part of it, so no other owner's row can name the blob. */
function toBlobKey(key: RequestKey, blob: string): string {
  return `results/${hash("sha256", keyOf(key), "base64url")}/${blob}`;
}

/** @throws {StoreError} */
async function put(url: string, request: RequestInit): Promise<void> {
  let status: number;
  try {
    const response = await fetch(url, { ...request, method: "PUT" });
    await response.body?.cancel();
    if (response.ok) return;
    status = response.status;
  } catch (cause) {
    throw new StoreError("STORE_UNAVAILABLE", "The blob store did not answer", { cause });
  }
  const mayPass = status >= 500 || status === 408 || status === 429;
  const message = `The blob store answered an upload with status ${status}`;
  throw new StoreError(mayPass ? "STORE_UNAVAILABLE" : "STORE_REFUSED", message);
}
