import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BlobStore, BlobUpload } from "../src/store/index.ts";

export interface BlobWorld {
  readonly store: BlobStore;
  /** What the store and whoever it signs for have for the time. */
  readonly clock: { now: number };
  close(): Promise<void>;
}

const GOOD_FOR_MS = 60_000;
const KEY = "4Xb_-/2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e";
const HTML = "text/html; charset=utf-8";

/** Everything that `BlobStore` promises, for any backend that HTTP reaches. `make` gives an empty one. */
export function blobCases(name: string, make: () => Promise<BlobWorld>): void {
  describe(name, () => {
    let world: BlobWorld;
    let store: BlobStore;

    beforeEach(async () => {
      world = await make();
      store = world.store;
    });
    afterEach(() => world.close());

    const uploadOf = (bytes: number, { key = KEY, contentType = HTML } = {}) =>
      store.createUpload(key, { bytes, contentType }, GOOD_FOR_MS);
    const get = async (key = KEY) => fetch(await store.createDownloadUrl(key, GOOD_FOR_MS));

    it.each([1, 1_000_000])("gives %i bytes back as they were put, with their type", async (bytes) => {
      const content = randomBytes(bytes);
      const answer = await put(await uploadOf(bytes), content);
      expect(answer.status).toBe(200);
      const got = await get();
      expect([got.status, got.headers.get("content-type")]).toEqual([200, HTML]);
      expect(content.equals(await got.bytes())).toBe(true);
    });

    it("gives it as an attachment, which no browser shows on the store's origin", async () => {
      await put(await uploadOf(8), "<script>");
      expect((await get()).headers.get("content-disposition")).toBe("attachment");
    });

    it("has no blob before it was put", async () => {
      await uploadOf(3);
      expect((await get()).status).toBe(404);
    });

    it.each([
      ["a shorter blob", "ab"],
      ["a longer blob", "abcd"],
      ["no bytes, rather", ""],
    ])("refuses %s than was signed", async (_, content) => {
      expect((await put(await uploadOf(3), content)).ok).toBe(false);
      expect((await get()).status).toBe(404);
    });

    it("refuses a blob of another type than was signed", async () => {
      const { url } = await uploadOf(3, { contentType: "image/png" });
      expect((await put({ url, headers: { "content-type": HTML } }, "abc")).status).toBe(403);
      expect((await get()).status).toBe(404);
    });

    it("lets an upload put, and nothing else", async () => {
      const upload = await uploadOf(3);
      await put(upload, "abc");
      for (const method of ["GET", "DELETE", "POST"]) {
        expect((await fetch(upload.url, { method })).ok).toBe(false);
      }
      expect(await (await get()).text()).toBe("abc");
    });

    it("lets a download get, and nothing else", async () => {
      await put(await uploadOf(3), "abc");
      const url = await store.createDownloadUrl(KEY, GOOD_FOR_MS);
      for (const method of ["PUT", "DELETE", "POST"]) {
        expect((await fetch(url, { method, headers: { "content-type": HTML } })).ok).toBe(false);
      }
      expect(await (await get()).text()).toBe("abc");
    });

    it("takes what was signed until its time is over", async () => {
      const upload = await uploadOf(3);
      const url = await store.createDownloadUrl(KEY, GOOD_FOR_MS);
      world.clock.now += GOOD_FOR_MS - 1_000;
      expect((await put(upload, "abc")).status).toBe(200);
      expect((await fetch(url)).status).toBe(200);
      world.clock.now += 2_000;
      expect((await put(upload, "xyz")).status).toBe(403);
      expect((await fetch(url)).status).toBe(403);
      expect(await (await get()).text()).toBe("abc");
    });

    it("takes no URL in which anything was changed", async () => {
      await put(await uploadOf(3, { key: "other" }), "abc");
      const upload = await uploadOf(3);
      const urls = [upload.url, await store.createDownloadUrl(KEY, GOOD_FOR_MS)];
      for (const url of urls) {
        for (const changed of changes(new URL(url), [KEY, "other"])) {
          const sent = url === upload.url ? put({ ...upload, url: changed }, "abc") : fetch(changed);
          expect([(await sent).ok, changed]).toEqual([false, changed]);
        }
      }
      expect((await get()).status).toBe(404);
    });

    it("keeps apart what differs in a letter's case, or in a slash", async () => {
      const keys = ["a", "A", "a/a", "a/A", "a//a", "a/", "-", "_", "x".repeat(200)];
      for (const key of keys) await put(await uploadOf(key.length, { key }), key);
      for (const key of keys) expect(await (await get(key)).text()).toBe(key);
    });

    it("refuses every key that is none, with a URL to nowhere", async () => {
      const foreign = fc
        .integer({ min: 0, max: 0xffff })
        .map((code) => String.fromCharCode(code))
        .filter((char) => !/[\w/-]/.test(char));
      const none = fc.oneof(
        fc.constantFrom("", "..", "../a", "a/../../b", "a\n", "a%2e", "a?b", "a".repeat(201)),
        fc.tuple(fc.string(), foreign, fc.string()).map((parts) => parts.join("")),
      );
      await fc.assert(
        fc.asyncProperty(none, async (key) => {
          const asked = [uploadOf(3, { key }), store.createDownloadUrl(key, GOOD_FOR_MS)];
          for (const { status, reason } of (await Promise.allSettled(asked)) as PromiseRejectedResult[]) {
            expect([status, reason?.code]).toEqual(["rejected", "STORE_REFUSED"]);
          }
        }),
      );
    });
  });
}

function put({ url, headers }: BlobUpload, body: string | Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(url, { method: "PUT", headers, body });
}

/** The URL with another key, and with each of its parameters changed, and left out. */
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
