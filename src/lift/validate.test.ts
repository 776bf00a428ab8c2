import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, it } from "vitest";
import type { LiftError } from "./errors.ts";
import { ownField, parseBody, validate } from "./validate.ts";

type Issues = readonly StandardSchemaV1.Issue[];

/** A schema that refuses every value with these issues, or returns `output`. */
function schema(issues: Issues | undefined, output?: unknown): StandardSchemaV1 {
  const result = issues === undefined ? { value: output } : { issues };
  return { "~standard": { version: 1, vendor: "test", validate: () => result } };
}

async function refusal(issues: Issues, at?: readonly string[]): Promise<LiftError> {
  return validate(schema(issues), 1, at).then(
    () => {
      throw new Error("It was accepted");
    },
    (error) => error,
  );
}

describe("ownField", () => {
  it.each([
    ["an object's own field", { a: 1 }, "a", 1],
    ["no field that is missing", { a: 1 }, "b", undefined],
    ["no field of a prototype", { a: 1 }, "toString", undefined],
    ["no `__proto__`", JSON.parse('{"__proto__":1}'), "__proto__", undefined],
    ["no `constructor`", { constructor: 1 }, "constructor", undefined],
    ["nothing of null", null, "a", undefined],
    ["nothing of a text", "abc", "length", undefined],
    ["nothing of a list", [1], "length", undefined],
  ])("returns %s", (_, value, name, expected) => {
    expect(ownField(value, name)).toBe(expected);
  });
});

describe("parseBody", () => {
  it("returns the JSON value, or throws MALFORMED_JSON with its cause", () => {
    expect(parseBody("[1]")).toEqual([1]);
    expect(() => parseBody("[1")).toThrow(
      expect.objectContaining({ code: "MALFORMED_JSON", cause: expect.any(SyntaxError) }),
    );
  });
});

describe("validate", () => {
  it("returns the schema's output", async () => {
    expect(await validate(schema(undefined, "out"), "in")).toBe("out");
  });

  it("reports the issues, with their paths as texts", async () => {
    const error = await refusal([
      { message: "too long", path: ["a", { key: 0 }, "b"] },
      { message: "other" },
    ]);
    expect(error).toMatchObject({
      code: "VALIDATION_ERROR",
      message: "Invalid `a.0.b`: too long (2 issues)",
      details: [
        { message: "too long", path: ["a", "0", "b"] },
        { message: "other", path: [] },
      ],
    });
  });

  it("puts the path of the value before that of its issue", async () => {
    expect((await refusal([{ message: "wrong", path: ["b"] }], ["a"])).message).toBe("Invalid `a.b`: wrong");
    expect((await refusal([{ message: "wrong" }], ["a"])).message).toBe("Invalid `a`: wrong");
    expect((await refusal([{ message: "wrong" }])).message).toBe("Invalid message: wrong");
  });

  it("has a general message for a schema without issues", async () => {
    expect((await refusal([])).message).not.toContain("undefined");
    expect(await refusal([])).toMatchObject({ code: "VALIDATION_ERROR", details: [] });
  });

  it("reports the first 20 issues, and counts all", async () => {
    const error = await refusal(Array.from({ length: 21 }, (_, at) => ({ message: `m${at}` })));
    expect(error.details).toHaveLength(20);
    expect(error.message).toBe("Invalid message: m0 (21 issues)");
  });

  it("truncates a path and a text of more than 80 characters", async () => {
    const text = (length: number) => "x".repeat(length);
    expect((await refusal([{ message: text(80), path: [text(80)] }])).message).toBe(
      `Invalid \`${text(80)}\`: ${text(80)}`,
    );
    expect((await refusal([{ message: text(81), path: [text(81)] }])).message).toBe(
      `Invalid \`${text(80)}…\`: ${text(80)}…`,
    );
  });
});
