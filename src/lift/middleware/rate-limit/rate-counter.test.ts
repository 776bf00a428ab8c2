import { describe, expect, it, vi } from "vitest";
import { RateCounter } from "./index.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function setUp(scope: string, thrown?: { readonly value: unknown }) {
  const keys: string[] = [];
  const consume = async (key: string) => {
    keys.push(key);
    if (thrown !== undefined) throw thrown.value;
  };
  return { keys, counter: new RateCounter(scope, { limiter: { consume } }, "closed", Date.now) };
}

describe("the rejection of a limiter", () => {
  it.each([
    [1_500.2, 1_501],
    [0, 0],
    [-3, 0],
  ])("with %d ms before the next event refuses it for %d ms", async (msBeforeNext, retryAfterMs) => {
    const { counter } = setUp("s", { value: { msBeforeNext } });
    await expect(counter.count("key", silent)).rejects.toMatchObject({
      code: "RATE_LIMITED",
      details: { retryAfterMs },
    });
  });

  it.each([
    ["an Error, even with a wait", Object.assign(new Error("down"), { msBeforeNext: 5 })],
    ["null", null],
    ["text", "down"],
    ["a function", Object.assign(() => {}, { msBeforeNext: 5 })],
    ["an object without a wait", {}],
    ["a wait as text", { msBeforeNext: "5" }],
  ])("with %s is a failure of its store", async (_what, value) => {
    const { counter } = setUp("s", { value });
    await expect(counter.count("key", silent)).rejects.toMatchObject({ code: "UNAVAILABLE", cause: value });
  });
});

describe("a key", () => {
  it("of up to 200 bytes is kept with its scope", async () => {
    const { counter, keys } = setUp("s");
    for (const length of [198, 199]) await counter.count("x".repeat(length), silent);
    expect(keys).toEqual([`s:${"x".repeat(198)}`, expect.stringMatching(/^s#[\w-]{43}$/)]);
  });

  it("has at most 100 characters of a long scope", async () => {
    const { counter, keys } = setUp("s".repeat(150));
    await counter.count("x".repeat(50), silent);
    expect(keys).toEqual([expect.stringMatching(/^s{100}#[\w-]{43}$/)]);
  });
});

describe("a rate", () => {
  const limiter = { consume: vi.fn() };

  it.each([
    { limit: 1 },
    { windowMs: 1 },
    { limiter, limit: 1 },
    { limiter, windowMs: 1 },
    {},
    { limit: 1, windowMs: 0.5 },
    { limit: 1, windowMs: "1" },
  ])("%j is rejected", (rate) => {
    expect(() => new RateCounter("s", rate as never, "open", Date.now)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it("with `limiter: undefined` counts in memory", async () => {
    const counter = new RateCounter(
      "s",
      { limiter: undefined, limit: 1, windowMs: 1_000 } as never,
      "open",
      () => 0,
    );
    await counter.count("key", silent);
    await expect(counter.count("key", silent)).rejects.toMatchObject({ details: { retryAfterMs: 1_000 } });
  });
});
