import { expect, it } from "vitest";
import { KeyedQueue } from "./keyed-queue.ts";

it("runs operations with one key in order, even after a failure, and other keys in parallel", async () => {
  const queue = new KeyedQueue();
  const done: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = queue.run("a", async () => {
    await gate.promise;
    done.push("first");
    throw new Error("failed");
  });
  const second = queue.run("a", async () => done.push("second"));
  await queue.run("b", async () => done.push("another key"));
  gate.resolve();
  await expect(first).rejects.toThrow("failed");
  await second;
  expect(done).toEqual(["another key", "first", "second"]);
});
