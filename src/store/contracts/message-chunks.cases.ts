import assert from "node:assert/strict";
import {
  AWKWARD_NAMES,
  type ChannelStoreUnderTest,
  type CreateChannelStore,
} from "./channel-store-under-test.ts";
import {
  CHUNKS_TIMEOUT_MS,
  type ChunkResult,
  type MessageChunk,
  type MessageChunks,
} from "./message-chunks.ts";
import { type TestRunner, withSetUp } from "./test-runner.ts";

/** Defines a test for every guarantee of `MessageChunks`. */
export function messageChunksCases(runner: TestRunner, create: CreateChannelStore): void {
  let underTest: ChannelStoreUnderTest;
  let chunks: MessageChunks;

  const it = withSetUp(runner.it, async () => {
    underTest = await create();
    chunks = underTest.store.chunks;
  });

  const split = (message: number, ...texts: string[]): MessageChunk[] =>
    texts.map((text, index) => ({ message, index, count: texts.length, text }));
  const add = (chunk: MessageChunk | undefined, connectionId = "c1"): Promise<ChunkResult> =>
    chunks.add(connectionId, chunk!, underTest.now());

  it("assemble a message from chunks in any order", async () => {
    const [a, b, c] = split(1, "one ", 'tw"o\u0000 ', "\u{1F600}é");
    assert.equal(await add(c), "opened");
    assert.equal(await add(a), "kept");
    assert.deepEqual(await add(b), { whole: 'one tw"o\u0000 \u{1F600}é' });
  });

  it("hold up to 16 frames", async () => {
    const texts = Array.from({ length: 16 }, (_, n) => String.fromCharCode(97 + n).repeat(32_000));
    const joined = await Promise.all(split(1, ...texts).map((chunk) => add(chunk)));
    assert.deepEqual(
      joined.find((one) => typeof one === "object"),
      { whole: texts.join("") },
    );
  });

  it("ignore a repeated chunk, even of a complete message", async () => {
    const [a, b] = split(1, "a", "b");
    assert.equal(await add(a), "opened");
    assert.equal(await add(a), "kept");
    assert.deepEqual(await add(b), { whole: "ab" });
    assert.equal(await add(a), "kept");
    assert.equal(await add(b), "kept");
  });

  it("replace an open message with a later one of the same connection, and never with an earlier one", async () => {
    const [a, b] = split(1, "a", "b");
    const [c, d] = split(12, "c", "d");
    await add(a);
    assert.equal(await add(d), "opened");
    assert.equal(await add(b), "closed");
    assert.deepEqual(await add(c), { whole: "cd" });
    assert.equal(await add(a), "closed");
    const [e, f] = split(13, "e", "f");
    assert.equal(await add(f), "opened");
    assert.deepEqual(await add(e), { whole: "ef" });
  });

  it("reject a chunk with another count", async () => {
    const [a, b] = split(1, "a", "b");
    await add(a);
    assert.equal(await add({ ...b!, count: 3 }), "closed");
    assert.deepEqual(await add(b), { whole: "ab" });
  });

  it("assemble messages only until they expire", async () => {
    const [a, b] = split(1, "a", "b");
    await add(a);
    underTest.advance(CHUNKS_TIMEOUT_MS - 1);
    assert.deepEqual(await add(b), { whole: "ab" });
    const [c, d] = split(2, "c", "d");
    assert.equal(await add(c), "opened");
    underTest.advance(CHUNKS_TIMEOUT_MS);
    assert.equal(await add(d), "closed");
  });

  runner.describe("abort", () => {
    it("closes only the given incomplete message, and only once", async () => {
      const [a, b, c] = split(3, "a", "b", "c");
      await add(a);
      await add(b);
      assert.equal(await chunks.abort("c1", 2), false);
      assert.equal(await chunks.abort("c2", 3), false);
      assert.equal(await chunks.abort("c1", 3), true);
      assert.equal(await chunks.abort("c1", 3), false);
      assert.equal(await add(c), "closed");
      const [d, e] = split(4, "d", "e");
      assert.equal(await add(e), "opened");
      assert.deepEqual(await add(d), { whole: "de" });
    });

    it("does not affect a complete message", async () => {
      const [a, b] = split(1, "a", "b");
      await add(a);
      await add(b);
      assert.equal(await chunks.abort("c1", 1), false);
      assert.equal(await add(b), "kept");
    });
  });

  it("separate connections with any ids", async () => {
    const ids = AWKWARD_NAMES.filter((id) => Buffer.byteLength(id) <= 128);
    const halves = (n: number) => split(1, `${n}`, "!");
    for (const [n, id] of ids.entries()) assert.equal(await add(halves(n)[0], id), "opened");
    for (const [n, id] of ids.entries()) assert.deepEqual(await add(halves(n)[1], id), { whole: `${n}!` });
  });
}
