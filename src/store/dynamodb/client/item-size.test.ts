import { expect, it } from "vitest";
import { itemSize } from "./item-size.ts";

it("counts names and texts in UTF-8, two digits of a number a byte and one for its exponent, and one for a boolean", () => {
  expect(itemSize({})).toBe(0);
  expect(itemSize({ Name: { S: "äb" } })).toBe(4 + 3);
  expect(itemSize({ Name: { S: "äb" }, n: { N: "123" }, on: { BOOL: true } })).toBe(7 + (1 + 3) + (2 + 1));
});
