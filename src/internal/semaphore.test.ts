import { expect, it } from "vitest";
import { Semaphore } from "./semaphore.ts";

it("limits concurrent operations, and starts the next one when one fails", async () => {
  const semaphore = new Semaphore(2);
  const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const started: number[] = [];
  const runs = gates.map((gate, index) =>
    semaphore.use(async () => {
      started.push(index);
      await gate.promise;
    }),
  );
  expect(started).toEqual([0, 1]);
  gates[0]!.reject(new Error("failed"));
  await expect(runs[0]).rejects.toThrow("failed");
  await expect.poll(() => started).toEqual([0, 1, 2]);
  gates[1]!.resolve();
  gates[2]!.resolve();
  await Promise.all(runs.slice(1));
});
