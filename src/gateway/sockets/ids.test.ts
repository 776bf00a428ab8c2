import { describe, expect, it } from "vitest";
import { createApiId, createId, createTransientId, isConnectionId } from "./ids.ts";

describe.each([
  ["createId", createId],
  ["createTransientId", createTransientId],
])("%s", (_name, newId) => {
  it("returns 11 bytes as 16 characters: base64url and one =", () => {
    for (let i = 0; i < 1_000; i++) {
      const id = newId();
      expect(isConnectionId(id)).toBe(true);
      expect(Buffer.from(id, "base64url")).toHaveLength(11);
    }
  });

  it("returns no id twice, across refills of its pool", () => {
    expect(new Set(Array.from({ length: 10_000 }, () => newId())).size).toBe(10_000);
  });
});

it("createApiId returns ten lowercase letters and digits", () => {
  const ids = Array.from({ length: 100 }, createApiId);
  for (const id of ids) expect(id).toMatch(/^[a-z0-9]{10}$/);
  expect(new Set(ids).size).toBe(100);
});

describe("isConnectionId", () => {
  it.each([
    "",
    "abc",
    "0123456789abcdef",
    "L0SM9cOFvHcCIhw==",
    "L0SM9cOFvHcCIh!=",
    "-L0SM9cOFvHcCIhw=",
    "L0SM9cOFvHcCIhw=-",
    "6f8460cf-5196-42dc-925a-ed2c00000000",
  ])("rejects %j", (id) => expect(isConnectionId(id)).toBe(false));
});
