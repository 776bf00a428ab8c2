import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TestClock } from "../../test/client/test-clock.ts";
import { monotonicNow, stopwatch, systemClock } from "./clock.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 5_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

it("the system's clock has the wall time, and a time that does not jump", () => {
  const before = systemClock.monotonic!();
  expect(systemClock.now()).toBe(5_000);
  vi.advanceTimersByTime(10);
  expect([systemClock.now(), systemClock.monotonic!() - before]).toEqual([5_010, 10]);
  vi.setSystemTime(0);
  expect([systemClock.now(), systemClock.monotonic!() - before]).toEqual([0, 10]);
});

it("the system's timer fires once, unless it is cancelled", () => {
  const fired: string[] = [];
  systemClock.setTimeout(() => fired.push("first"), 10);
  systemClock.setTimeout(() => fired.push("second"), 10).cancel();
  vi.advanceTimersByTime(9);
  expect(fired).toEqual([]);
  vi.advanceTimersByTime(20);
  expect(fired).toEqual(["first"]);
});

it("a clock without a monotonic time uses its wall time", () => {
  expect(monotonicNow({ now: () => 7, setTimeout: () => ({ cancel() {} }) })).toBe(7);
  expect(monotonicNow({ now: () => 7, monotonic: () => 0, setTimeout: () => ({ cancel() {} }) })).toBe(0);
});

it("a stopwatch uses the clock that advanced further, and begins at an age", async () => {
  const clock = new TestClock();
  const age = stopwatch(clock, 100);
  expect(age()).toBe(100);
  await Promise.all([clock.pass(50), vi.runAllTimersAsync()]);
  expect(age()).toBe(150);
  clock.jump(1_000);
  expect(age()).toBe(1_150);
  clock.jump(-5_000);
  expect(age()).toBe(150);
});
