import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { forEachConcurrently, forEachInLanes } from "./for-each.ts";

it("starts no work after the signal has aborted, nor with one that is already aborted", async () => {
  const controller = new AbortController();
  const started: number[] = [];
  const numbers = async function* () {
    for (let n = 0; n < 5; n++) {
      if (n === 3) controller.abort();
      yield n;
    }
  };
  const work = async (n: number) => void started.push(n);
  expect(await forEachConcurrently(numbers(), 2, work, controller.signal)).toBe(false);
  expect(started).toEqual([0, 1, 2]);
  expect(await forEachConcurrently(numbers(), 2, work, AbortSignal.abort())).toBe(false);
  expect(started).toEqual([0, 1, 2]);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});

describe("a lane", () => {
  const options = { laneOf: () => "one", concurrency: 1, signal: new AbortController().signal };

  it("pauses reading while it has 1,000 waiting items, and skips none", async () => {
    let read = 0;
    const numbers = async function* () {
      for (; read < 1_500; read++) yield read;
    };
    let done = 0;
    const start = Promise.withResolvers<void>();
    const work = async () => {
      await start.promise;
      done++;
      return true;
    };
    const run = forEachInLanes(numbers(), work, options);
    await new Promise(setImmediate);
    // One runs, 1,000 wait, and one is in the reader's hands.
    expect(read).toBe(1_001);
    start.resolve();
    expect(await run).toBe(true);
    expect(done).toBe(1_500);
  });

  it("skips items when it is full and has failed 32 times in a row", async () => {
    let done = 0;
    const numbers = async function* () {
      for (let n = 0; n < 1_500; n++) yield n;
    };
    const work = async () => {
      await new Promise(setImmediate);
      done++;
      return false;
    };
    expect(await forEachInLanes(numbers(), work, options)).toBe(false);
    expect(done).toBeGreaterThan(1_001);
    expect(done).toBeLessThan(1_100);
  });
});
