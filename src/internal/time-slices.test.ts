import { describe, expect, it, vi } from "vitest";
import { TimeSlices } from "./time-slices.ts";

/** A clock on which only the work takes time. */
function clock() {
  let ms = 0;
  vi.spyOn(performance, "now").mockImplementation(() => ms);
  return {
    work: (duration: number) => {
      ms += duration;
    },
  };
}

/** Counts turns of the event loop. */
function turns() {
  let count = 0;
  let running = true;
  const turn = () => {
    count++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return {
    get count() {
      return count;
    },
    stop: () => {
      running = false;
    },
  };
}

describe("TimeSlices", () => {
  it("yields to the event loop after 10 ms of work, and keeps the order", async () => {
    const { work } = clock();
    const slices = new TimeSlices();
    const loop = turns();
    const began: [piece: number, turn: number][] = [];
    const pieces = Array.from({ length: 30 }, async (_, piece) => {
      await slices.next();
      began.push([piece, loop.count]);
      work(4);
    });
    await Promise.all(pieces);
    loop.stop();
    expect(began.map(([piece]) => piece)).toEqual(pieces.map((_, piece) => piece));
    for (let turn = 0; turn <= loop.count; turn++) {
      expect(began.filter(([, at]) => at === turn).length).toBeLessThanOrEqual(4);
    }
  });

  it("does not delay single calls, nor calls after a turn", async () => {
    const { work } = clock();
    const slices = new TimeSlices();
    for (let n = 0; n < 3; n++) {
      const loop = turns();
      await slices.next();
      expect(loop.count).toBe(0);
      loop.stop();
      work(50);
      // After work of that duration the next call waits for one turn of the event loop only.
      await slices.next();
      expect(loop.count).toBeGreaterThan(0);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
