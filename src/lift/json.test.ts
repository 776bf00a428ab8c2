import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyJson, toJson } from "./json.ts";

describe("toJson", () => {
  it("converts a value as JSON does", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const asJson: unknown = JSON.parse(JSON.stringify(value));
        expect(toJson(asJson)).toEqual(asJson);
        expect(copyJson(toJson(asJson))).toEqual(asJson);
      }),
    );
  });

  it("uses toJSON of dates, URLs and class instances, and drops undefined properties", () => {
    class Point {
      readonly x = 1;
      readonly y = undefined;
    }
    expect(
      toJson({ at: new Date(0), url: new URL("https://a.example/"), point: new Point(), list: [undefined] }),
    ).toEqual({ at: "1970-01-01T00:00:00.000Z", url: "https://a.example/", point: { x: 1 }, list: [null] });
  });

  it("treats __proto__ as an ordinary key", () => {
    const value = toJson(JSON.parse('{"__proto__":{"admin":true}}'));
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect(Object.keys(copyJson(value) as object)).toEqual(["__proto__"]);
    expect((value as { admin?: boolean }).admin).toBeUndefined();
  });

  it("keeps a field named toJSON that is not a function", () => {
    expect(toJson({ toJSON: 1 })).toEqual({ toJSON: 1 });
  });

  it.each([
    [Number.NaN, "it contains NaN"],
    [[() => 1], "it contains a function"],
    [new Set(), "it contains a Map or a Set"],
  ])("names the reason for a refusal", (value, reason) => {
    expect(() => toJson(value)).toThrow(`A connection's state must be JSON: ${reason}`);
  });

  const circular: unknown[] = [];
  circular.push({ circular });
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level++) deep = [deep];

  it.each([
    ["a function", { f: () => 1 }],
    ["a symbol", [Symbol("s")]],
    ["a BigInt", 1n],
    ["NaN", Number.NaN],
    ["Infinity", [Number.POSITIVE_INFINITY]],
    ["a toJSON that gives nothing", { at: { toJSON: () => undefined } }],
    ["a Map", new Map([["a", 1]])],
    ["a Set", { set: new Set() }],
    ["a circle", circular],
    ["100,000 levels", deep],
  ])("rejects %s, which JSON would change or cannot write", (_what, value) => {
    expect(() => toJson(value)).toThrow(expect.objectContaining({ code: "STATE_NOT_JSON" }));
  });
});

describe("copyJson", () => {
  it("shares nothing with its source", () => {
    const source = { list: [{ n: 1 }] };
    const copy = copyJson(source) as typeof source;
    copy.list[0]!.n = 2;
    copy.list.push({ n: 3 });
    expect(source).toEqual({ list: [{ n: 1 }] });
  });
});
