import { describe, expect, it, vi } from "vitest";
import type { OutputItem } from "../../store/index.ts";
import { OutputWriter } from "./output-writer.ts";

function writer() {
  const items: OutputItem[] = [];
  const output = new OutputWriter({
    head: { offset: 0, chunks: 0, bytes: 0 },
    gatherMs: 200,
    maxBytes: 16 * 1_024 * 1_024,
    signal: new AbortController().signal,
    now: () => 0,
    append: async (item) => void items.push(item),
    send: async () => {},
  });
  return { output, items };
}

describe("`output.from`", () => {
  it.each([
    ["a buffer of a file stream", "x".repeat(65_536)],
    ["newlines, which take twice as much in JSON", "\n".repeat(65_536)],
    ["control characters, which take six times as much in JSON", "\u0001".repeat(65_536)],
    ["a surrogate pair at the end of a piece", `${"x".repeat(9_999)}\u{1F600}${"y".repeat(20_000)}`],
  ])("writes %s in pieces", async (_, text) => {
    for (const chunk of [new TextEncoder().encode(text), text]) {
      const { output, items } = writer();
      const write = vi.spyOn(output, "write");
      await output.from([chunk]);
      await output.end();
      const pieces = write.mock.calls.map(([piece]) => piece as string);
      expect(pieces.filter((piece) => /\p{Surrogate}/u.test(piece) || piece.length > 10_001)).toEqual([]);
      expect(pieces.join("")).toBe(text);
      expect(items.map(({ data }) => ("text" in data ? data.text : "")).join("")).toBe(text);
    }
  });

  it("skips empty text, and a character that is not complete yet", async () => {
    const { output, items } = writer();
    const euro = new TextEncoder().encode("€");
    await output.from(["", euro.slice(0, 1), euro.slice(1), new Uint8Array(), "", { n: 1 }]);
    await output.end();
    expect(items).toMatchObject([
      { data: { text: "€" }, chunks: 1 },
      { data: { values: [{ n: 1 }] }, chunks: 2 },
    ]);
  });
});
