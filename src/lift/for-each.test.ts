import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { forEachConcurrently } from "./for-each.ts";

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
