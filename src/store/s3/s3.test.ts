import { S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { blobStoreProperties } from "../../../test/stores/blob-store-properties.ts";
import { type Credentials, fakeBucket, isPresigned } from "../../../test/support/fake-bucket.ts";
import { blobStoreCases } from "../contracts/cases.ts";
import { s3BlobStore } from "./index.ts";

const START = Date.UTC(2026, 0, 2, 3, 4, 5);
// Credentials of Amazon's documentation.
const CREDENTIALS: Credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

async function createStoreUnderTest() {
  const clock = { now: START };
  const { endpoint, close } = await fakeBucket(CREDENTIALS, () => clock.now);
  const client = new S3Client({
    endpoint,
    region: "eu-west-1",
    credentials: CREDENTIALS,
    forcePathStyle: true,
  });
  const store = s3BlobStore({ bucket: "chat", prefix: "blobs/", client, now: () => clock.now });
  return { store, clock, close };
}

blobStoreCases({ describe, it }, "blobs in a bucket", createStoreUnderTest);
blobStoreProperties("blobs in a bucket", createStoreUnderTest);

describe("the test bucket", () => {
  const url =
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
  const request = { method: "GET", url, headers: { host: "examplebucket.s3.amazonaws.com" } };
  const at = Date.UTC(2013, 4, 24);

  it("accepts the presigned URL of Amazon's documentation, only within its day and from its host", () => {
    expect(isPresigned(request, CREDENTIALS, at + 86_400_000)).toBe(true);
    expect(isPresigned(request, CREDENTIALS, at + 86_400_001)).toBe(false);
    expect(isPresigned({ ...request, headers: { host: "other" } }, CREDENTIALS, at)).toBe(false);
    expect(isPresigned({ ...request, method: "PUT" }, CREDENTIALS, at)).toBe(false);
  });
});

describe("s3BlobStore", () => {
  const store = s3BlobStore({ bucket: "chat-blobs", prefix: "b/", region: "eu-central-1", now: () => START });

  beforeEach(() => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", CREDENTIALS.accessKeyId);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", CREDENTIALS.secretAccessKey);
    vi.stubEnv("AWS_SESSION_TOKEN", "");
  });
  afterEach(() => void vi.unstubAllEnvs());

  it("signs an upload's key, type and exact size for its lifetime in whole seconds", async () => {
    const upload = await store.createUpload("a/b", { bytes: 482_113, contentType: "image/png" }, 900_999);
    const { host, origin, pathname, search, searchParams } = new URL(upload.url);
    expect(origin).toBe("https://chat-blobs.s3.eu-central-1.amazonaws.com");
    expect(pathname).toBe("/b/a/b");
    expect(Object.fromEntries(searchParams)).toEqual({
      "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
      "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
      "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20260102/eu-central-1/s3/aws4_request",
      "X-Amz-Date": "20260102T030405Z",
      "X-Amz-Expires": "900",
      "X-Amz-Signature": expect.stringMatching(/^[0-9a-f]{64}$/),
      "X-Amz-SignedHeaders": "content-length;content-type;host",
      "x-id": "PutObject",
    });
    expect(upload.headers).toEqual({ "content-type": "image/png" });
    const sent = { ...upload.headers, host, "content-length": "482113" };
    const request = { method: "PUT", url: pathname + search, headers: sent };
    expect(isPresigned(request, CREDENTIALS, START)).toBe(true);
    expect(
      isPresigned({ ...request, headers: { ...sent, "content-length": "482114" } }, CREDENTIALS, START),
    ).toBe(false);
  });

  it("signs with a role's session token, for seven days at most", async () => {
    vi.stubEnv("AWS_SESSION_TOKEN", "of-the-role");
    const session = s3BlobStore({ bucket: "chat-blobs", region: "eu-central-1" });
    const { searchParams } = new URL(await session.createDownloadUrl("a", 30 * 86_400_000));
    expect(searchParams.get("X-Amz-Security-Token")).toBe("of-the-role");
    expect(searchParams.get("X-Amz-Expires")).toBe("604800");
    expect(searchParams.get("X-Amz-SignedHeaders")).toBe("host");
  });

  it("reports why signing failed", async () => {
    const credentials = () => Promise.reject(new Error("no role"));
    const client = new S3Client({ region: "eu-west-1", credentials });
    const refused = { name: "StoreError", code: "STORE_REFUSED", cause: { message: "no role" } };
    await expect(s3BlobStore({ bucket: "b", client }).createDownloadUrl("a", 1_000)).rejects.toMatchObject(
      refused,
    );
    const timeout = Object.assign(new Error("too slow"), { name: "TimeoutError" });
    const slow = new S3Client({ region: "eu-west-1", credentials: () => Promise.reject(timeout) });
    const failed = { code: "STORE_UNAVAILABLE", cause: timeout };
    await expect(
      s3BlobStore({ bucket: "b", client: slow }).createDownloadUrl("a", 1_000),
    ).rejects.toMatchObject(failed);
  });

  it.each([
    [{}, "`bucket` is required"],
    [{ bucket: "" }, "`bucket` must be"],
    [{ bucket: "b", prefix: "a b" }, "`prefix` must be"],
    [{ bucket: "b", region: "" }, "`region` must be"],
    [{ bucket: "b", client: {} }, "`client` must be"],
    [{ bucket: "b", now: 0 }, "`now` must be"],
    [{ bucket: "b", acl: "public-read" }, "Unknown option `acl`"],
  ])("rejects the options %o", (options, message) => {
    const made = () => s3BlobStore(options as never);
    expect(made).toThrow(expect.objectContaining({ name: "StoreError", code: "INVALID_OPTION" }));
    expect(made).toThrow(message);
  });
});
