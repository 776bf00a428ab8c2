import { Readable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { jsonLogger, LiftError } from "../../../lift/index.ts";
import type { OutputItem } from "../../../store/index.ts";
import { compactOutput, OutputWriter } from "./writer.ts";

function writer({
  signal = new AbortController().signal,
  beforeAppend = async () => {},
}: {
  readonly signal?: AbortSignal;
  readonly beforeAppend?: () => Promise<void>;
} = {}) {
  const items: OutputItem[] = [];
  const lines: string[] = [];
  const output = new OutputWriter({
    head: { offset: 0, chunks: 0, bytes: 0 },
    gatherMs: 200,
    maxBytes: 16 * 1_024 * 1_024,
    signal,
    now: () => 0,
    logger: jsonLogger({ write: (_level, line) => lines.push(line) }),
    append: async (item) => {
      await beforeAppend();
      items.push(item);
    },
    send: async () => {},
  });
  return { output, items, lines };
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

describe("a source that yields nothing while the request is stopped", () => {
  const never = new Promise<never>(() => {});

  it.each<[string, (onCancel: () => void) => AsyncIterable<unknown>]>([
    ["a web stream", (cancel) => new ReadableStream({ cancel, pull: () => never })],
    [
      "a stream of Node",
      (cancel) =>
        new Readable({
          read() {},
          destroy(_error, done) {
            cancel();
            done(null);
          },
        }),
    ],
    [
      "an iterable",
      (cancel) => ({
        [Symbol.asyncIterator]: () => ({
          next: () => never,
          return: async () => {
            cancel();
            return { done: true, value: undefined };
          },
        }),
      }),
    ],
  ])("is cancelled: %s", async (_, createSource) => {
    const stop = new AbortController();
    const { output, lines } = writer({ signal: stop.signal });
    const cancelled = Promise.withResolvers<void>();
    const writing = output.from(createSource(cancelled.resolve));
    await turn();
    stop.abort(new LiftError("CANCELLED"));
    await expect(writing).rejects.toMatchObject({ code: "CANCELLED" });
    await cancelled.promise;
    expect(lines).toEqual([]);
  });

  it("is not read to its end", async () => {
    const stop = new AbortController();
    const { output } = writer({ signal: stop.signal });
    let count = 0;
    function* empty() {
      for (;;) {
        if (++count === 100) stop.abort(new LiftError("CANCELLED"));
        yield "";
      }
    }
    await expect(output.from(empty())).rejects.toMatchObject({ code: "CANCELLED" });
    expect(count).toBe(100);
  });
});

it("passes on the error of a source, and ends it once", async () => {
  const { output, items } = writer();
  async function* broken() {
    yield "a";
    throw new Error("broken");
  }
  await expect(output.from(broken())).rejects.toThrow("broken");
  await output.end();
  expect(items.map(({ data }) => data)).toEqual([{ text: "a" }]);
});

it("gathers what is written meanwhile, and leaves the event loop to others", async () => {
  const { output, items } = writer();
  let turns = 0;
  let isOver = false;
  const others = (async () => {
    for (; !isOver; turns++) await turn();
  })();
  for (let n = 0; n < 40_000; n++) await output.write("word ");
  await output.end();
  isOver = true;
  await others;
  expect(items.map(({ data }) => ("text" in data ? data.text : "")).join("")).toBe("word ".repeat(40_000));
  // 200,000 characters in items of 4 KB or more.
  expect(items.length).toBeLessThan(60);
  expect(turns).toBeGreaterThan(2);
});

it("logs a refused chunk, and handles the rejection that nobody waits for", async () => {
  const { output, lines } = writer();
  const written = output.write("x".repeat(70_000));
  await turn();
  expect(lines).toEqual([expect.stringContaining("Output was refused")]);
  await expect(written).rejects.toMatchObject({ code: "TOO_LARGE" });
});

it("does not end a source that has ended by itself", async () => {
  const { output } = writer();
  const end = vi.fn(async () => ({ done: true as const, value: undefined }));
  const left = ["a", "b"];
  const next = async () =>
    left.length > 0
      ? { done: false as const, value: left.shift() }
      : { done: true as const, value: undefined };
  await output.from({ [Symbol.asyncIterator]: () => ({ next, return: end }) });
  expect(end).not.toHaveBeenCalled();
});

it("stores what was gathered while the store took longer than the gather time", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const stored = Promise.withResolvers<void>();
  const { output, items } = writer({ beforeAppend: () => stored.promise });
  await output.write("a");
  await vi.advanceTimersByTimeAsync(200);
  await output.write("b");
  // The timer for "b" fires while "a" is on its way.
  await vi.advanceTimersByTimeAsync(200);
  stored.resolve();
  await vi.waitFor(() => {
    expect(items).toMatchObject([{ data: { text: "a" } }, { data: { text: "b" } }]);
  });
});

it("joins items up to a size", () => {
  const item = (offset: number) => ({
    offset,
    data: { text: "x".repeat(40) },
    chunks: offset,
    bytes: 40 * offset,
    at: 0,
  });
  const size = JSON.stringify(item(1).data).length;
  const joined = compactOutput([1, 2, 3, 4, 5].map(item), 2 * size);
  expect(joined.map(({ from, offset }) => [from, offset])).toEqual([
    [1, 2],
    [3, 4],
    [5, 5],
  ]);
});
