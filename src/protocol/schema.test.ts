import { expect, expectTypeOf, it } from "vitest";
import { toJsonSchema } from "./json-schema.ts";
import { parseAs } from "./parse.ts";
import { POSITION } from "./position.ts";
import {
  boolean,
  constant,
  described,
  type Infer,
  integer,
  json,
  list,
  map,
  object,
  oneOf,
  optional,
  record,
  slot,
  text,
  union,
} from "./schema.ts";

const OPTIONS = { channel: { type: "string" }, pointer: (name: string) => `#/components/schemas/${name}` };

const SAMPLE = object({ name: text(), age: optional(integer(0, 150)) });

it("gives an object's JSON Schema its fields, and requires those that are not optional", () => {
  expect(toJsonSchema(SAMPLE, OPTIONS)).toEqual({
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 0, maximum: 150 } },
    required: ["name"],
  });
});

it("infers the type of each kind", () => {
  type Inferred = Infer<typeof SAMPLE>;
  expectTypeOf<Inferred>().toEqualTypeOf<{ readonly name: string; readonly age?: number }>();
  // @ts-expect-error a required field is missing
  const _missing: Inferred = { age: 1 };
  // @ts-expect-error no such field
  const _unknown: Inferred = { name: "ada", size: 1 };
  // @ts-expect-error a text is not a number
  const _wrong: Inferred = { name: "ada", age: "1" };
  // @ts-expect-error an optional field is left out, not undefined
  const _undefined: Inferred = { name: "ada", age: undefined };
  const every = object({
    flag: boolean,
    kind: oneOf("a", "b"),
    type: constant("x"),
    success: constant(true),
    items: list(SAMPLE),
    byKey: map(text(), integer(0), 10),
    heads: record(boolean),
    either: union(text(), integer(0)),
    nothing: object({}),
  });
  expectTypeOf<Infer<typeof every>>().toEqualTypeOf<{
    readonly flag: boolean;
    readonly kind: "a" | "b";
    readonly type: "x";
    readonly success: true;
    readonly items: readonly { readonly name: string; readonly age?: number }[];
    readonly byKey: ReadonlyMap<string, number>;
    readonly heads: { readonly [name: string]: boolean };
    readonly either: string | number;
    readonly nothing: { readonly [name: string]: never };
  }>();
});

it("describes a reference in a schema around it, because keywords beside a $ref are ignored", () => {
  expect(toJsonSchema(POSITION, OPTIONS)).toEqual({ $ref: "#/components/schemas/Position" });
  expect(toJsonSchema(described("The last one", POSITION), OPTIONS)).toEqual({
    description: "The last one",
    allOf: [{ $ref: "#/components/schemas/Position" }],
  });
});

it("gives an object with the client's keys a schema for them", () => {
  expect(toJsonSchema(map(text(), integer(0), 100), OPTIONS)).toEqual({
    type: "object",
    propertyNames: { type: "string" },
    additionalProperties: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    maxProperties: 100,
  });
});

it("reads the schema of a payload from its namespace", () => {
  const schema = object({ data: slot("data"), other: optional(json()) });
  const properties = (slots: object) => toJsonSchema(schema, { ...OPTIONS, slots }).properties;
  expect(properties({ data: { type: "null" } })).toEqual({ data: { type: "null" }, other: {} });
  expect(properties({})).toEqual({ data: {}, other: {} });
});

it("parses a union as the first of its options that fits", () => {
  const either = union(object({ error: text() }), SAMPLE);
  expect(parseAs(either, { name: "ada", error: "none", age: 3 }, "")).toEqual({ error: "none" });
  expect(parseAs(either, { name: "ada", more: 1 }, "")).toEqual({ name: "ada" });
  expect(() => parseAs(either, {}, "")).toThrow("name must be text");
});
