import { describe, expect, it } from "vitest";
import { ManualClock, repeat } from "./clock.ts";

describe("ManualClock", () => {
  it("fires due timers in order, each at its own time", () => {
    const clock = new ManualClock(0);
    const fired: [string, number][] = [];
    clock.setTimeout(() => fired.push(["late", clock.now()]), 20);
    clock.setTimeout(() => {
      fired.push(["early", clock.now()]);
      clock.setTimeout(() => fired.push(["nested", clock.now()]), 5);
    }, 10);
    clock.advance(30);
    expect(fired).toEqual([
      ["early", 10],
      ["nested", 15],
      ["late", 20],
    ]);
    expect(clock.now()).toBe(30);
  });

  it("fires timers of the same time in the order of their starts", () => {
    const clock = new ManualClock(0);
    const fired: string[] = [];
    for (const name of ["a", "b", "c"]) clock.setTimeout(() => fired.push(name), 10);
    clock.advance(10);
    expect(fired).toEqual(["a", "b", "c"]);
  });

  it("moves its wall clock without elapsed time", () => {
    const clock = new ManualClock(1_000);
    clock.setTimeout(() => expect.unreachable(), 10);
    clock.jump(3_600_000);
    expect([clock.now(), clock.elapsed(), clock.pending]).toEqual([3_601_000, 0, 1]);
    clock.advance(5);
    clock.jump(-7_200_000);
    expect([clock.now(), clock.elapsed()]).toEqual([-3_598_995, 5]);
  });

  it("does not fire a cancelled timer, and counts pending ones", () => {
    const clock = new ManualClock(0);
    const timer = clock.setTimeout(() => expect.unreachable(), 10);
    expect(clock.pending).toBe(1);
    timer.cancel();
    clock.advance(100);
    expect(clock.pending).toBe(0);
  });
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("repeat", () => {
  it("counts from the end of a call to the next, and stops when cancelled", async () => {
    const clock = new ManualClock();
    const started: number[] = [];
    let end = () => {};
    const timer = repeat(clock, 1_000, () => {
      started.push(clock.now());
      return new Promise((resolve) => {
        end = resolve;
      });
    });
    const start = clock.now();
    clock.advance(999);
    expect(started).toEqual([]);
    clock.advance(1);
    expect(started).toEqual([start + 1_000]);
    clock.advance(5_000);
    expect(started).toHaveLength(1);
    end();
    await settled();
    clock.advance(1_000);
    expect(started).toEqual([start + 1_000, start + 7_000]);
    timer.cancel();
    end();
    await settled();
    expect(clock.pending).toBe(0);
  });

  it("can be cancelled between calls", () => {
    const clock = new ManualClock();
    const timer = repeat(clock, 1_000, () => expect.unreachable());
    timer.cancel();
    expect(clock.pending).toBe(0);
  });
});
