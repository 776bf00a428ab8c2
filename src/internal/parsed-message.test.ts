import { describe, expect, it } from "vitest";
import { keepParsed, takeParsed } from "./parsed-message.ts";

describe("takeParsed", () => {
  it("returns the value of the last message once, because its receiver may change it", () => {
    const value = { a: 1 };
    keepParsed('{"a":1}', value);
    expect(takeParsed('{"a":1}')).toBe(value);
    expect(takeParsed('{"a":1}')).toBeUndefined();
  });

  it("returns nothing for another text, and keeps the value", () => {
    keepParsed("1", 1);
    expect(takeParsed("2")).toBeUndefined();
    expect(takeParsed("1")).toBe(1);
  });

  it("returns nothing for a message that another one has followed", () => {
    keepParsed("1", 1);
    keepParsed("2", 2);
    expect(takeParsed("1")).toBeUndefined();
  });

  it("returns null for a message that is null", () => {
    keepParsed("null", null);
    expect(takeParsed("null")).toBeNull();
  });
});
