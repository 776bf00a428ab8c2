import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import {
  CHUNKS_TIMEOUT_MS,
  type ChunkResult,
  type MessageChunk,
  type MessageChunks,
} from "../src/store/index.ts";
import {
  AWKWARD_NAMES,
  type ChannelCasesOptions,
  type ChannelsUnderTest,
  type MakeChannels,
} from "./channels.cases.ts";

/** Everything that `MessageParts` promises. */
export function partCases(make: MakeChannels, { runs = 10 }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let parts: MessageChunks;

  beforeEach(async () => {
    world = await make();
    parts = world.store.chunks;
  });

  const split = (message: number, ...texts: string[]): MessageChunk[] =>
    texts.map((text, index) => ({ message, index, count: texts.length, text }));
  const add = (part: MessageChunk | undefined, connectionId = "c1"): Promise<ChunkResult> =>
    parts.add(connectionId, part!, world.now());

  it("put a message together in the order of its parts, in whatever order they come", async () => {
    const [a, b, c] = split(1, "one ", 'tw"o\u0000 ', "\u{1F600}é");
    expect(await add(c)).toBe("opened");
    expect(await add(a)).toBe("kept");
    expect(await add(b)).toEqual({ whole: 'one tw"o\u0000 \u{1F600}é' });
  });

  it("give the whole to one of all who come at once", async () => {
    const property = async (texts: string[], message: number) => {
      const all = split(message, ...texts);
      const joined = await Promise.all([...all, ...all].map((part) => add(part)));
      expect(joined.filter((one) => typeof one === "object")).toEqual([{ whole: texts.join("") }]);
      expect(joined.filter((one) => one === "opened")).toHaveLength(1);
      expect(joined.filter((one) => one === "kept")).toHaveLength(2 * texts.length - 2);
    };
    const text = fc.string({ unit: "grapheme", minLength: 1 });
    let message = 0;
    const lists = fc.array(text, { minLength: 2, maxLength: 16 });
    await fc.assert(
      fc.asyncProperty(lists, (texts) => property(texts, ++message)),
      { numRuns: runs },
    );
  });

  it("take as much as 16 frames hold", async () => {
    const texts = Array.from({ length: 16 }, (_, n) => String.fromCharCode(97 + n).repeat(32_000));
    const joined = await Promise.all(split(1, ...texts).map((part) => add(part)));
    expect(joined.find((one) => typeof one === "object")).toEqual({ whole: texts.join("") });
  });

  it("have a part that comes twice once, also when its message is whole", async () => {
    const [a, b] = split(1, "a", "b");
    expect(await add(a)).toBe("opened");
    expect(await add(a)).toBe("kept");
    expect(await add(b)).toEqual({ whole: "ab" });
    expect(await add(a)).toBe("kept");
    expect(await add(b)).toBe("kept");
  });

  it("let a later message of the connection take the place of one that is open, and no earlier one", async () => {
    const [a, b] = split(1, "a", "b");
    const [c, d] = split(12, "c", "d");
    await add(a);
    expect(await add(d)).toBe("opened");
    expect(await add(b)).toBe("closed");
    expect(await add(c)).toEqual({ whole: "cd" });
    expect(await add(a)).toBe("closed");
    const [e, f] = split(13, "e", "f");
    expect(await add(f)).toBe("opened");
    expect(await add(e)).toEqual({ whole: "ef" });
  });

  it("refuse a part that says otherwise how many there are", async () => {
    const [a, b] = split(1, "a", "b");
    await add(a);
    expect(await add({ ...b!, count: 3 })).toBe("closed");
    expect(await add(b)).toEqual({ whole: "ab" });
  });

  it("put nothing together past its time, and everything within it", async () => {
    const [a, b] = split(1, "a", "b");
    await add(a);
    world.advance(CHUNKS_TIMEOUT_MS - 1);
    expect(await add(b)).toEqual({ whole: "ab" });
    const [c, d] = split(2, "c", "d");
    expect(await add(c)).toBe("opened");
    world.advance(CHUNKS_TIMEOUT_MS);
    expect(await add(d)).toBe("closed");
  });

  describe("giveUp", () => {
    it("closes a message of which parts are missing, once, and no other one", async () => {
      const [a, b, c] = split(3, "a", "b", "c");
      await add(a);
      await add(b);
      expect(await parts.abort("c1", 2)).toBe(false);
      expect(await parts.abort("c2", 3)).toBe(false);
      expect(await parts.abort("c1", 3)).toBe(true);
      expect(await parts.abort("c1", 3)).toBe(false);
      expect(await add(c)).toBe("closed");
      const [d, e] = split(4, "d", "e");
      expect(await add(e)).toBe("opened");
      expect(await add(d)).toEqual({ whole: "de" });
    });

    it("leaves a whole one as it is", async () => {
      const [a, b] = split(1, "a", "b");
      await add(a);
      await add(b);
      expect(await parts.abort("c1", 1)).toBe(false);
      expect(await add(b)).toBe("kept");
    });
  });

  it("keep connections apart, whatever their ids look like", async () => {
    const ids = AWKWARD_NAMES.filter((id) => Buffer.byteLength(id) <= 128);
    const halves = (n: number) => split(1, `${n}`, "!");
    for (const [n, id] of ids.entries()) expect(await add(halves(n)[0], id)).toBe("opened");
    for (const [n, id] of ids.entries()) expect(await add(halves(n)[1], id)).toEqual({ whole: `${n}!` });
  });
}
