import { expect, it } from "vitest";
import { PresenceOrder } from "./presence-order.ts";

function setUp() {
  let time = 1_000;
  const order = new PresenceOrder(() => time);
  return {
    order,
    set: (ms: number) => {
      time = ms;
    },
  };
}

it("dates a join with the clock", () => {
  const { order } = setUp();
  expect([order.joinedAt("a", "ada"), order.joinedAt("a", "ada")]).toEqual([1_000, 1_000]);
});

it("dates a user's events in one millisecond one after the other", () => {
  const { order } = setUp();
  expect(order.updatedAt("a", "ada")).toBe(1_000);
  expect(order.updatedAt("a", "ada")).toBe(1_001);
  expect(order.leftAt("a", { userId: "ada", since: 900 }, 1_000)).toBe(1_002);
  expect(order.joinedAt("a", "ada")).toBe(1_003);
});

it("keeps the users of a channel apart, and the channels of a user", () => {
  const { order } = setUp();
  order.updatedAt("a", "ada");
  expect([order.updatedAt("a", "bob"), order.updatedAt("b", "ada")]).toEqual([1_000, 1_000]);
});

it("dates a leave after the join, and not before the request", () => {
  const { order } = setUp();
  expect(order.leftAt("a", { userId: "ada", since: 2_000 }, 1_000)).toBe(2_001);
  expect(order.leftAt("a", { userId: "bob", since: 500 }, 700)).toBe(700);
});

it("keeps a date until the clock has passed it", () => {
  const { order, set } = setUp();
  order.leftAt("a", { userId: "ada", since: 5_000 }, 1_000);
  set(4_000);
  order.updatedAt("a", "bob");
  expect(order.joinedAt("a", "ada")).toBe(5_002);
  set(6_000);
  order.updatedAt("a", "bob");
  set(1_000);
  expect(order.joinedAt("a", "ada")).toBe(1_000);
});

it("keeps the last 10,000 dates while the clock is behind them", () => {
  const { order, set } = setUp();
  for (let n = 0; n < 10_001; n++) order.updatedAt("a", `user-${n}`);
  set(0);
  expect([order.joinedAt("a", "user-0"), order.joinedAt("a", "user-1")]).toEqual([0, 1_001]);
});
