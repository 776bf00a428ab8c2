import { describe, expect, it } from "vitest";
import { ManualClock } from "./clock.ts";

describe("ManualClock", () => {
  it("rings what falls due in order, each at its own time", () => {
    const clock = new ManualClock(0);
    const rang: [string, number][] = [];
    clock.setTimeout(() => rang.push(["late", clock.now()]), 20);
    clock.setTimeout(() => {
      rang.push(["early", clock.now()]);
      clock.setTimeout(() => rang.push(["nested", clock.now()]), 5);
    }, 10);
    clock.advance(30);
    expect(rang).toEqual([
      ["early", 10],
      ["nested", 15],
      ["late", 20],
    ]);
    expect(clock.now()).toBe(30);
  });

  it("does not ring what was cancelled, and counts what is set", () => {
    const clock = new ManualClock(0);
    const timer = clock.setTimeout(() => expect.unreachable(), 10);
    expect(clock.pending).toBe(1);
    timer.cancel();
    clock.advance(100);
    expect(clock.pending).toBe(0);
  });
});
