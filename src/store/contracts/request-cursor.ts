import { StoreError } from "./errors.ts";
import type { RequestKey, StoredRequest } from "./requests.ts";

/** A place in an owner's requests. Those of the same time are in the order of their ids. */
export type RequestCursor = Pick<RequestKey, "id"> & Pick<StoredRequest, "createdAt">;

export function encodeRequestCursor({ createdAt, id }: RequestCursor): string {
  return `${createdAt}:${id}`;
}

/**
 * Decodes a text that may come from a client.
 * @throws {StoreError} STORE_REFUSED
 */
export function decodeRequestCursor(text: string): RequestCursor {
  const [, createdAt, id] = /^(-?\d+(?:\.\d+)?):(.+)$/s.exec(text) ?? [];
  if (createdAt === undefined || id === undefined) {
    throw new StoreError("STORE_REFUSED", "`after` is not the `next` of a page of requests");
  }
  return { createdAt: Number(createdAt), id };
}
