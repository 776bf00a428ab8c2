import { describe, expect, it } from "vitest";
import {
  anyFunction,
  arrayOf,
  atLeast,
  boolean,
  either,
  findOptionFault,
  integer,
  type OptionCheck,
  record,
  text,
  withMethods,
} from "./options.ts";

const checks = { name: text, limit: integer(1, 5), retry: record };

describe("findOptionFault", () => {
  it.each([
    ["valid options", { name: "a", limit: 5 }],
    ["an option that is undefined", { name: undefined }],
    ["no options", {}],
  ])("accepts %s", (_title, options) => {
    expect(findOptionFault(options, checks)).toBeUndefined();
  });

  it.each([
    [{ nam: "a" }, {}, "Unknown option `nam`; expected one of name, limit, retry"],
    [{ toString: 1 }, {}, "Unknown option `toString`; expected one of name, limit, retry"],
    [{ limit: 6 }, {}, "`limit` must be an integer from 1 to 5; got 6"],
    [{ limit: null }, {}, "`limit` must be an integer from 1 to 5; got null"],
    [{ retry: [] }, {}, "`retry` must be an object; got an array"],
    [{ limit: 6 }, { prefix: "room." }, "`room.limit` must be an integer from 1 to 5; got 6"],
    [{}, { required: ["name"] }, "`name` is required: a non-empty string"],
    [{ name: undefined }, { required: ["name"], prefix: "a." }, "`a.name` is required: a non-empty string"],
    [undefined, {}, "Options must be an object; got nothing"],
    ["text", { prefix: "a.b." }, "`a.b` must be an object; got a string"],
  ])("refuses %j with %j", (options, where, message) => {
    expect(findOptionFault(options, checks, where)).toBe(message);
  });

  it.each([{ limit: "a secret" }, { limit: { key: "a secret" } }, { limit: ["a secret"] }])(
    "omits the value from the message: %j",
    (options) => {
      expect(findOptionFault(options, checks)).not.toContain("secret");
    },
  );
});

it.each<[string, OptionCheck, readonly unknown[], readonly unknown[]]>([
  ["anyFunction", anyFunction, [() => 1, class {}], [{}, undefined]],
  ["boolean", boolean, [true, false], [0, "true"]],
  ["record", record, [{}], [[], null, "a"]],
  ["text", text, ["a"], ["", 1]],
  ["integer without a maximum", integer(0), [0, 7], [-1, 0.5, Number.NaN, 2 ** 53, "1"]],
  ["integer with a maximum", integer(1, 5), [1, 5], [0, 6]],
  ["atLeast", atLeast(1), [1, 1.5, Number.POSITIVE_INFINITY], [0.9, Number.NaN, "1"]],
  ["arrayOf", arrayOf((item) => item === 1, "ones"), [[], [1, 1]], [[1, 2], 1]],
  ["withMethods", withMethods("get", "set"), [new Map()], [new Set(), null, () => 1]],
  ["either", either(text, integer(1)), ["a", 1], ["", 0]],
])("%s accepts valid and refuses invalid values", (_name, check, good, bad) => {
  expect(good.filter((value) => !check.test(value))).toEqual([]);
  expect(bad.filter((value) => check.test(value))).toEqual([]);
});
