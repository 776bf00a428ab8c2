import { expect, it, onTestFinished, vi } from "vitest";
import { createElapsed, elapsed } from "./elapsed.ts";

it("adds up the forward steps of a clock, and ignores steps back", () => {
  let now = 1_000;
  const passed = createElapsed(() => now);
  const readings = [1_000, 1_500, 1_200, 1_300, 500, 600].map((time) => {
    now = time;
    return passed();
  });
  expect(readings).toEqual([0, 500, 500, 600, 600, 700]);
});

it("is the process's monotonic time for the system clock, which may jump", () => {
  const passed = createElapsed(Date.now);
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const first = passed();
  vi.setSystemTime(Date.now() + 3_600_000);
  expect(passed()).toBe(first);
  vi.advanceTimersByTime(1_000);
  expect(passed()).toBe(first + 1_000);
});

it("is monotonic by default", () => {
  const first = elapsed();
  expect(elapsed()).toBeGreaterThanOrEqual(first);
});
