import { describe, expect, it } from "vitest";
import { CHUNKS_TIMEOUT_MS } from "../contracts/message-chunks.ts";
import { MemoryMessageChunks } from "./message-chunks.ts";

const part = (message: number, index: number, text: string) => ({ message, index, count: 3, text });

describe("message chunks in memory", () => {
  it("close the oldest open messages beyond the limit of characters", async () => {
    const parts = new MemoryMessageChunks(100);
    for (const id of ["a", "b", "c"])
      expect(await parts.add(id, part(1, 0, "x".repeat(30)), 0)).toBe("opened");
    expect(await parts.add("c", part(1, 1, "x".repeat(10)), 0)).toBe("kept");
    expect(await parts.add("c", part(1, 1, "y".repeat(10)), 0)).toBe("kept");
    expect(await parts.add("d", part(1, 0, "x"), 0)).toBe("opened");
    expect(await parts.add("a", part(1, 1, "x"), 0)).toBe("closed");
    expect(await parts.add("b", part(1, 1, "x"), 0)).toBe("kept");
    const whole = `${"x".repeat(30)}${"y".repeat(10)}z`;
    expect(await parts.add("c", part(1, 2, "z"), 0)).toEqual({ whole });
    expect(await parts.add("a", part(2, 0, "x".repeat(30)), 0)).toBe("opened");
  });

  it("hold 64 MiB of characters by default", async () => {
    const parts = new MemoryMessageChunks();
    const text = "x".repeat(1_024 * 1_024);
    for (let n = 0; n < 64; n++) await parts.add(`c${n}`, part(1, 0, text), 0);
    expect(parts.characters).toBe(64 * text.length);
    await parts.add("another", part(1, 0, "x"), 0);
    expect(parts.characters).toBe(63 * text.length + 1);
  });

  it("accept a single message larger than the limit", async () => {
    const parts = new MemoryMessageChunks(10);
    const texts = ["x".repeat(10), "y".repeat(10), "z".repeat(10)];
    expect(await parts.add("a", part(1, 0, texts[0]!), 0)).toBe("opened");
    expect(await parts.add("a", part(1, 1, texts[1]!), 0)).toBe("kept");
    expect(await parts.add("a", part(1, 2, texts[2]!), 0)).toEqual({ whole: texts.join("") });
  });

  it("forget a message one timeout after it has expired", async () => {
    const parts = new MemoryMessageChunks();
    await parts.add("a", part(1, 0, "x"), 0);
    expect(await parts.add("a", part(1, 1, "x"), 2 * CHUNKS_TIMEOUT_MS - 1)).toBe("closed");
    expect(await parts.add("a", part(1, 1, "x"), 2 * CHUNKS_TIMEOUT_MS)).toBe("opened");
  });

  it("reject a chunk of an expired message before its texts are dropped", async () => {
    const parts = new MemoryMessageChunks();
    for (const id of ["a", "b", "c"]) await parts.add(id, part(1, 0, "x"), 0);
    expect(await parts.add("c", part(1, 1, "x"), CHUNKS_TIMEOUT_MS)).toBe("closed");
  });

  it("drop the texts of two expired messages with each chunk", async () => {
    const parts = new MemoryMessageChunks();
    for (const id of ["a", "b", "c"]) await parts.add(id, part(1, 0, "xy"), 0);
    await parts.add("d", part(1, 0, "x"), CHUNKS_TIMEOUT_MS - 1);
    expect(parts.characters).toBe(7);
    await parts.add("d", part(1, 1, "x"), CHUNKS_TIMEOUT_MS);
    expect(parts.characters).toBe(4);
  });

  it("drop expired messages also after an older connection has begun another message", async () => {
    const parts = new MemoryMessageChunks();
    await parts.add("a", part(1, 0, "xy"), 0);
    await parts.add("b", part(1, 0, "xy"), 1);
    await parts.add("a", part(2, 0, "x"), 2);
    await parts.add("c", part(1, 0, "x"), 1 + CHUNKS_TIMEOUT_MS);
    expect(parts.characters).toBe(2);
  });

  it("count the texts of a message after a complete one of the same connection", async () => {
    const parts = new MemoryMessageChunks();
    for (let index = 0; index < 3; index++) await parts.add("a", part(1, index, "x"), 0);
    await parts.add("a", part(2, 0, "xy"), 0);
    expect(parts.characters).toBe(2);
  });

  it("do not count complete, aborted, replaced or expired messages", async () => {
    const parts = new MemoryMessageChunks(50);
    const text = "x".repeat(40);
    for (let number = 1; number < 10; number++) await parts.add("a", part(number, 0, text), 0);
    await parts.abort("a", 9);
    for (let index = 0; index < 3; index++) await parts.add("b", part(1, index, "x"), 0);
    await parts.add("late", part(1, 0, text), 0);
    expect(await parts.add("c", part(1, 0, text), 40_000)).toBe("opened");
    expect(await parts.add("c", part(1, 1, "x"), 40_000)).toBe("kept");
    expect(await parts.add("d", part(1, 0, "x"), 40_000)).toBe("opened");
    expect(await parts.add("c", part(1, 1, "x"), 40_000)).toBe("kept");
  });
});
