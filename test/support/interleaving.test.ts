import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { runInEveryOrder, type Step } from "./interleaving.ts";

/** Runs sides that each record their name `length` times. Returns the orders of the records. */
async function ordersOf(lengths: readonly number[], switches: number): Promise<string[]> {
  const seen: string[] = [];
  const played = await runInEveryOrder({ sides: lengths.length, switches }, async (steps) => {
    const order: string[] = [];
    const side = async (step: Step, name: string, length: number) => {
      for (let n = 0; n < length; n++) await step(async () => order.push(name));
    };
    await Promise.all(lengths.map((length, at) => side(steps[at]!, "abc"[at]!, length)));
    seen.push(order.join(""));
  });
  expect(seen).toHaveLength(played);
  return seen.sort();
}

describe("everyOrder", () => {
  it("runs each order once", async () => {
    expect(await ordersOf([2, 2], 9)).toEqual(["aabb", "abab", "abba", "baab", "baba", "bbaa"]);
    expect(new Set(await ordersOf([2, 2, 2], 9)).size).toBe(90);
    expect(await ordersOf([2, 2, 2], 9)).toHaveLength(90);
  });

  it("interrupts a side at most as often as allowed", async () => {
    expect(await ordersOf([2, 2], 0)).toEqual(["aabb", "bbaa"]);
    expect(await ordersOf([2, 2], 1)).toEqual(["aabb", "abba", "baab", "bbaa"]);
  });

  it("waits for a pausing side, and runs one step at a time", async () => {
    let running = 0;
    let most = 0;
    const played = await runInEveryOrder({ sides: 2, switches: 9 }, async ([first, second]) => {
      const work = async () => {
        most = Math.max(most, ++running);
        await sleep(1);
        running--;
      };
      const pausing = first!(work)
        .then(() => sleep(0))
        .then(() => first!(work));
      await Promise.all([pausing, second!(work)]);
    });
    expect([played, most]).toEqual([3, 1]);
  });

  it("reports the order in which a scenario failed", async () => {
    const failing = runInEveryOrder({ sides: 2, switches: 9 }, async ([first, second]) => {
      const order: string[] = [];
      await Promise.all([first!(async () => order.push("a")), second!(async () => order.push("b"))]);
      if (order[0] === "b") throw new Error("b came first");
    });
    await expect(failing).rejects.toThrow("In the order 10: b came first");
  });
});
