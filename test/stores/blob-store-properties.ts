import assert from "node:assert/strict";
import fc from "fast-check";
import { it } from "vitest";
import type { BlobStoreUnderTest } from "../../src/store/contracts/cases.ts";

/** Properties of `BlobStore` that random calls check, for any backend. `create` returns an empty one. */
export function blobStoreProperties(title: string, create: () => Promise<BlobStoreUnderTest>): void {
  it(`${title} reject every invalid key`, async () => {
    const { store, close } = await create();
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
        const asked = [
          store.createUpload(key, { bytes: 3, contentType: "text/plain" }, 60_000),
          store.createDownloadUrl(key, 60_000),
        ];
        for (const { status, reason } of (await Promise.allSettled(asked)) as PromiseRejectedResult[]) {
          assert.deepEqual([status, reason?.code], ["rejected", "STORE_REFUSED"]);
        }
      }),
    );
    await close();
  });
}
