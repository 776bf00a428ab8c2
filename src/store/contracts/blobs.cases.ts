import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { BlobStore, BlobUpload } from "./blobs.ts";
import { type TestRunner, withSetUp } from "./test-runner.ts";

/** A blob store for one test. */
export interface BlobStoreUnderTest {
  /** The store, empty at first. */
  readonly store: BlobStore;
  /** The clock of the store and of the service that it signs URLs for. */
  readonly clock: { now: number };
  /** Stops the store after the test. */
  close(): Promise<void>;
}

const GOOD_FOR_MS = 60_000;
const KEY = "4Xb_-/2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e";
const HTML = "text/html; charset=utf-8";

/**
 * Defines a test for every guarantee of `BlobStore`, for any backend reachable over HTTP.
 * @param create creates an empty store for each test
 * @example
 * blobStoreCases({ describe, it }, "my blob store", createEmptyStore);
 */
export function blobStoreCases(
  runner: TestRunner,
  title: string,
  create: () => Promise<BlobStoreUnderTest> | BlobStoreUnderTest,
): void {
  runner.describe(title, () => {
    let underTest: BlobStoreUnderTest;
    let store: BlobStore;

    const it = withSetUp(
      runner.it,
      async () => {
        underTest = await create();
        store = underTest.store;
      },
      () => underTest.close(),
    );

    const uploadOf = (bytes: number, { key = KEY, contentType = HTML } = {}) =>
      store.createUpload(key, { bytes, contentType }, GOOD_FOR_MS);
    const get = async (key = KEY) => fetch(await store.createDownloadUrl(key, GOOD_FOR_MS));

    for (const bytes of [1, 1_000_000]) {
      it(`returns ${bytes} bytes unchanged, with their content type`, async () => {
        const content = randomBytes(bytes);
        const answer = await put(await uploadOf(bytes), content);
        assert.equal(answer.status, 200);
        const got = await get();
        assert.deepEqual([got.status, got.headers.get("content-type")], [200, HTML]);
        assert.equal(content.equals(await got.bytes()), true);
      });
    }

    it("serves a blob as an attachment, which browsers do not show on the store's origin", async () => {
      await put(await uploadOf(8), "<script>");
      assert.equal((await get()).headers.get("content-disposition"), "attachment");
    });

    it("returns 404 before the upload", async () => {
      await uploadOf(3);
      assert.equal((await get()).status, 404);
    });

    for (const [kind, content] of [
      ["a shorter blob", "ab"],
      ["a longer blob", "abcd"],
      ["an empty blob", ""],
    ] as const) {
      it(`rejects ${kind} than was signed`, async () => {
        assert.equal((await put(await uploadOf(3), content)).ok, false);
        assert.equal((await get()).status, 404);
      });
    }

    it("rejects another content type than was signed", async () => {
      const { url } = await uploadOf(3, { contentType: "image/png" });
      assert.equal((await put({ url, headers: { "content-type": HTML } }, "abc")).status, 403);
      assert.equal((await get()).status, 404);
    });

    it("allows only PUT with an upload URL", async () => {
      const upload = await uploadOf(3);
      await put(upload, "abc");
      for (const method of ["GET", "DELETE", "POST"]) {
        assert.equal((await fetch(upload.url, { method })).ok, false);
      }
      assert.equal(await (await get()).text(), "abc");
    });

    it("allows only GET with a download URL", async () => {
      await put(await uploadOf(3), "abc");
      const url = await store.createDownloadUrl(KEY, GOOD_FOR_MS);
      for (const method of ["PUT", "DELETE", "POST"]) {
        assert.equal((await fetch(url, { method, headers: { "content-type": HTML } })).ok, false);
      }
      assert.equal(await (await get()).text(), "abc");
    });

    it("accepts a signed URL until it expires", async () => {
      const upload = await uploadOf(3);
      const url = await store.createDownloadUrl(KEY, GOOD_FOR_MS);
      underTest.clock.now += GOOD_FOR_MS - 1_000;
      assert.equal((await put(upload, "abc")).status, 200);
      assert.equal((await fetch(url)).status, 200);
      underTest.clock.now += 2_000;
      assert.equal((await put(upload, "xyz")).status, 403);
      assert.equal((await fetch(url)).status, 403);
      assert.equal(await (await get()).text(), "abc");
    });

    it("rejects a changed URL", async () => {
      await put(await uploadOf(3, { key: "other" }), "abc");
      const upload = await uploadOf(3);
      const urls = [upload.url, await store.createDownloadUrl(KEY, GOOD_FOR_MS)];
      for (const url of urls) {
        for (const changed of changes(new URL(url), [KEY, "other"])) {
          const sent = url === upload.url ? put({ ...upload, url: changed }, "abc") : fetch(changed);
          assert.deepEqual([(await sent).ok, changed], [false, changed]);
        }
      }
      assert.equal((await get()).status, 404);
    });

    it("separates keys that differ in a letter's case or in a slash", async () => {
      const keys = ["a", "A", "a/a", "a/A", "a//a", "a/", "-", "_", "x".repeat(200)];
      for (const key of keys) await put(await uploadOf(key.length, { key }), key);
      for (const key of keys) assert.equal(await (await get(key)).text(), key);
    });

    it("rejects invalid keys with STORE_REFUSED", async () => {
      for (const key of ["", "..", "../a", "a/../../b", "a\n", "a%2e", "a?b", "a".repeat(201)]) {
        await assert.rejects(uploadOf(3, { key }), { code: "STORE_REFUSED" });
        await assert.rejects(store.createDownloadUrl(key, GOOD_FOR_MS), { code: "STORE_REFUSED" });
      }
    });
  });
}

function put({ url, headers }: BlobUpload, body: string | Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(url, { method: "PUT", headers, body });
}

/** Returns the URL with another key, and with each of its parameters changed and removed. */
function changes(url: URL, [key, other]: readonly [string, string]): string[] {
  const otherKey = url.href.replace(key, other);
  const others = [...url.searchParams.keys()].flatMap((name) => {
    const [changed, without] = [new URL(url), new URL(url)];
    changed.searchParams.set(name, `${url.searchParams.get(name)}1`);
    without.searchParams.delete(name);
    return [changed.href, without.href];
  });
  return [otherKey, ...others];
}
