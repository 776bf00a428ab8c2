import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type OrderOptions, runInEveryOrder, type Step } from "./interleaving.ts";

/** Runs sides that each record their name `length` times. Returns the orders of the records. */
async function ordersOf(lengths: readonly number[], options: OrderOptions): Promise<string[]> {
  const seen: string[] = [];
  const played = await runInEveryOrder(options, async () => {
    const order: string[] = [];
    const sides = lengths.map((length, at) => async (step: Step) => {
      for (let n = 0; n < length; n++) await step(async () => order.push("abc"[at]!));
    });
    return { sides, check: () => void seen.push(order.join("")) };
  });
  expect(seen).toHaveLength(played);
  return seen;
}

describe("runInEveryOrder", () => {
  it("runs each order once", async () => {
    const orders = await ordersOf([2, 2], { switches: 9 });
    expect(orders.sort()).toEqual(["aabb", "abab", "abba", "baab", "baba", "bbaa"]);
    const ofThree = await ordersOf([2, 2, 2], { switches: 9 });
    expect([ofThree.length, new Set(ofThree).size]).toEqual([90, 90]);
  });

  it("interrupts a side at most as often as allowed", async () => {
    expect((await ordersOf([2, 2], { switches: 0 })).sort()).toEqual(["aabb", "bbaa"]);
    expect((await ordersOf([2, 2], { switches: 1 })).sort()).toEqual(["aabb", "abba", "baab", "bbaa"]);
  });

  it("draws further orders, the same ones in each run", async () => {
    const options = { switches: 0, random: 40 };
    const orders = await ordersOf([9, 9], options);
    expect(orders).toHaveLength(42);
    expect(new Set(orders).size).toBeGreaterThan(20);
    const interrupted = orders.map((order) => order.match(/ab|ba/g)?.length ?? 0);
    expect(Math.max(...interrupted)).toBeGreaterThan(4);
    expect(await ordersOf([9, 9], options)).toEqual(orders);
  });

  it("waits for a pausing side, and runs one step at a time", async () => {
    let running = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++running);
      await sleep(1);
      running--;
    };
    const pausing = async (step: Step) => {
      await step(work);
      await sleep(0);
      await step(work);
    };
    const sides = [pausing, (step: Step) => step(work)];
    const played = await runInEveryOrder({ switches: 9 }, async () => ({ sides, check: () => {} }));
    expect([played, most]).toEqual([3, 1]);
  });

  it("passes the sides' results to the check", async () => {
    const checked: unknown[] = [];
    await runInEveryOrder({ switches: 1 }, async () => ({
      sides: [async (step: Step) => step(async () => 1), async () => 2],
      check: (results) => void checked.push(results),
    }));
    expect(checked).toEqual([[1, 2]]);
  });

  it("reports the order in which the check or a side failed", async () => {
    const prepare = async (fail: { side?: boolean; check?: boolean }) => {
      const order: string[] = [];
      const check = () => {
        if (order.join("") === "ba") throw new Error("b came first");
      };
      const sides = ["a", "b"].map((name) => async (step: Step) => {
        await step(async () => order.push(name));
        if (fail.side) check();
      });
      return { sides, check: () => void (fail.check && check()) };
    };
    for (const fail of [{ side: true }, { check: true }]) {
      const failing = runInEveryOrder({ switches: 9 }, () => prepare(fail));
      await expect(failing).rejects.toThrow("In the order 10: b came first");
    }
  });
});
