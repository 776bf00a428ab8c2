import { describe, expect, it } from "vitest";
import { LIMITS } from "../protocol/index.ts";
import { ByteBudget } from "./responses.ts";

/** A budget that has this many bytes left. */
const budget = (bytes: number) => new ByteBudget("x".repeat(LIMITS.messageBytes - 2 - bytes));
/** An item that takes this many bytes, with its comma. */
const item = (bytes: number) => "x".repeat(bytes - 3);

describe("the byte budget of a response", () => {
  it("is what the envelope leaves of a frame, in bytes", () => {
    expect(new ByteBudget("é".repeat((LIMITS.messageBytes - 2) / 2)).isSpent).toBe(true);
    expect([budget(0).isSpent, budget(1).isSpent, budget(-1).isSpent]).toEqual([true, false, true]);
  });

  it("takes all items that fit exactly", () => {
    const items = [item(10), item(20)];
    expect(budget(30).takeFirst(items)).toEqual(items);
    expect(budget(30).takeLast(items)).toEqual(items);
    expect([budget(0).takeFirst([]), budget(0).takeLast([])]).toEqual([[], []]);
  });

  it("takes the first or the last items that fit", () => {
    const items = [item(10), item(11), item(12)];
    expect(budget(32).takeFirst(items)).toEqual(items.slice(0, 2));
    expect(budget(32).takeLast(items)).toEqual(items.slice(1));
    expect([budget(9).takeFirst(items), budget(11).takeLast(items)]).toEqual([[], []]);
  });

  it("is spent by the items taken, and by one that does not fit", () => {
    const bytes = budget(30);
    bytes.takeFirst([item(10)]);
    expect(bytes.isSpent).toBe(false);
    expect(bytes.takeFirst([item(21)])).toEqual([]);
    expect([bytes.isSpent, bytes.takeFirst([item(4)])]).toEqual([true, []]);
  });
});
