import { expect, it } from "vitest";
import { ManualClock } from "./clock.ts";
import { repeat } from "./repeat.ts";

const settled = () => new Promise((resolve) => setImmediate(resolve));

it("waits for the end of one before it counts to the next, and ends when it is cancelled", async () => {
  const clock = new ManualClock();
  const begun: number[] = [];
  let end = () => {};
  const timer = repeat(clock, 1_000, () => {
    begun.push(clock.now());
    return new Promise((resolve) => {
      end = resolve;
    });
  });
  const start = clock.now();
  clock.advance(999);
  expect(begun).toEqual([]);
  clock.advance(1);
  expect(begun).toEqual([start + 1_000]);
  clock.advance(5_000);
  expect(begun).toHaveLength(1);
  end();
  await settled();
  clock.advance(1_000);
  expect(begun).toEqual([start + 1_000, start + 7_000]);
  timer.cancel();
  end();
  await settled();
  expect(clock.pending).toBe(0);
});

it("is cancelled while it waits", () => {
  const clock = new ManualClock();
  const timer = repeat(clock, 1_000, () => expect.unreachable());
  timer.cancel();
  expect(clock.pending).toBe(0);
});
