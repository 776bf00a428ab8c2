import { describe, expect, it } from "vitest";
import { Sampler } from "./sampler.ts";

const times = (sampler: Sampler, kind: string, count: number) =>
  Array.from({ length: count }, () => sampler.count(kind)).filter((n) => n !== undefined);

describe("Sampler", () => {
  it("passes the first ten of a kind, then each power of ten, with its count", () => {
    const sampler = new Sampler(() => 0);
    expect(times(sampler, "a", 100_000)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 1_000, 10_000, 100_000,
    ]);
  });

  it("counts each kind separately", () => {
    const sampler = new Sampler(() => 0);
    times(sampler, "a", 50);
    expect(sampler.count("b")).toBe(1);
  });

  it("starts again after ten seconds", () => {
    let now = 0;
    const sampler = new Sampler(() => now);
    times(sampler, "a", 50);
    now = 9_999;
    expect(sampler.count("a")).toBeUndefined();
    now = 10_000;
    expect(sampler.count("a")).toBe(1);
  });

  it("counts at most 100 kinds separately", () => {
    const sampler = new Sampler(() => 0);
    for (let n = 0; n < 200; n++) sampler.count(String(n));
    expect([sampler.count("99"), sampler.count("500")]).toEqual([2, undefined]);
  });
});
