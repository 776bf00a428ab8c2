import { hash, randomUUID } from "node:crypto";
import { LiftError } from "../../lift/index.ts";
import type { DownloadPayload, DownloadResult, UploadPayload } from "../../protocol/index.ts";
import type { BlobStore } from "../../store/index.ts";
import type { Core, Session } from "../core.ts";
import { fromStore } from "../fan-out/errors.ts";
import { assertMay, type Channel } from "../namespaces.ts";
import { assertRate } from "../rates.ts";
import { answer } from "../responses.ts";

/** How long what a client was told of is good, in ms: time enough for a slow line. */
const GOOD_FOR_MS = 15 * 60_000;

const BLOB = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Tells where to put a blob of the channel. Its name is the server's, and says nothing of where it is. */
export async function upload(payload: UploadPayload, session: Session, core: Core): Promise<void> {
  const { identity } = session;
  const { bytes, contentType = "application/octet-stream" } = payload;
  const channel = core.channels.find(payload.channel, identity.tenantId);
  await assertMay("publish", identity, channel);
  const store = storeFor(channel, core);
  const { maxBlobBytes } = channel.namespace;
  if (bytes > maxBlobBytes) {
    const message = `The namespace takes blobs of ${maxBlobBytes} bytes at most`;
    throw new LiftError("TOO_LARGE", { status: 413, message });
  }
  await assertRate("upload", channel, session);
  const blob = randomUUID();
  const expiresAt = core.now() + GOOD_FOR_MS;
  const { url, headers } = await fromStore(
    store.createUpload(keyOf(channel, blob), { bytes, contentType }, GOOD_FOR_MS),
  );
  await answer<"upload">(session, { blob, url, headers, expiresAt });
}

export async function download(
  { channel: text, blob }: DownloadPayload,
  session: Session,
  core: Core,
): Promise<void> {
  const { identity } = session;
  const channel = core.channels.find(text, identity.tenantId);
  await assertMay("subscribe", identity, channel);
  await answer<"download">(session, await whereIs(channel, blob, core));
}

/** @throws {LiftError} NOT_FOUND: the namespace has no blobs; VALIDATION_ERROR; STORE_FAILED */
export async function whereIs(channel: Channel, blob: string, core: Core): Promise<DownloadResult> {
  const store = storeFor(channel, core);
  if (!BLOB.test(blob)) throw new LiftError("VALIDATION_ERROR", { message: "That is no blob's name" });
  const expiresAt = core.now() + GOOD_FOR_MS;
  return { url: await fromStore(store.createDownloadUrl(keyOf(channel, blob), GOOD_FOR_MS)), expiresAt };
}

function storeFor({ namespace }: Channel, { blobs }: Core): BlobStore {
  if (blobs !== undefined && namespace.maxBlobBytes > 0) return blobs;
  throw new LiftError("NOT_FOUND", { message: "The namespace has no blobs" });
}

/** What another channel, or another tenant, calls by the same name is another blob. */
function keyOf({ key }: Channel, blob: string): string {
  return `${hash("sha256", key, "base64url")}/${blob}`;
}
