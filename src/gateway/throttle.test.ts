import { describe, expect, it } from "vitest";
import { ManualClock } from "./clock.ts";
import { Throttle } from "./throttle.ts";

const takeAll = (throttle: Throttle) => {
  let taken = 0;
  while (taken < 100_000 && throttle.take()) taken++;
  return taken;
};

describe("Throttle", () => {
  it("allows the burst at once, and no more", () => {
    expect(takeAll(new Throttle(10, 5, new ManualClock()))).toBe(5);
  });

  it("refills at its rate", () => {
    const clock = new ManualClock();
    const throttle = new Throttle(10, 5, clock);
    takeAll(throttle);
    clock.advance(300);
    expect(takeAll(throttle)).toBe(3);
  });

  it("never has more tokens than the burst", () => {
    const clock = new ManualClock();
    const throttle = new Throttle(10, 5, clock);
    clock.advance(60_000);
    expect(takeAll(throttle)).toBe(5);
  });

  it("has no limit when its rate is infinite", () => {
    expect(takeAll(new Throttle(Number.POSITIVE_INFINITY, 1, new ManualClock()))).toBe(100_000);
  });
});
