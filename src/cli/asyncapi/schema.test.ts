import { expect, expectTypeOf, it } from "vitest";
import type { PublishResult } from "../../protocol/index.ts";
import {
  constant,
  Definitions,
  described,
  type Fields,
  integer,
  keyed,
  object,
  optional,
  type Schema,
  text,
} from "./schema.ts";

interface Sample {
  readonly name: string;
  readonly age?: number;
}

it("writes an object's fields, and which of them must be there", () => {
  expect(object<Sample>({ name: text, age: optional(integer(0, 150)) })).toEqual({
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 0, maximum: 150 } },
    required: ["name"],
  });
});

it("holds the fields against the interface", () => {
  type Refused = "the compiler refuses it";
  type Verdict<Given> = Given extends Fields<Sample> ? "taken" : Refused;
  type Text = Schema<string>;
  interface Years {
    readonly optional: Schema<number>;
  }
  expectTypeOf<Verdict<{ name: Text; age: Years }>>().toEqualTypeOf<"taken">();
  expectTypeOf<Verdict<{ name: Text }>>().toEqualTypeOf<Refused>();
  expectTypeOf<Verdict<{ name: Text; age: Schema<number> }>>().toEqualTypeOf<Refused>();
  expectTypeOf<Verdict<{ name: Years; age: Years }>>().toEqualTypeOf<Refused>();
  expectTypeOf<Verdict<{ name: Schema<"ada">; age: Years }>>().toEqualTypeOf<Refused>();
  // @ts-expect-error: no such field
  object<Sample>({ name: text, age: optional(integer(0)), size: integer(0) });
  // @ts-expect-error: it has a position too
  object<PublishResult>({ id: text });
  const idOnly = object<{ readonly id: string }>({ id: text });
  // @ts-expect-error: a field that may be missing must be known all the same
  const result: Schema<PublishResult> = idOnly;
  expect(result).toBe(idOnly);
});

it("says beside a reference what would be ignored there", () => {
  const reference = new Definitions().define("Sample", constant("x"));
  expect(described("An x", reference)).toEqual({
    description: "An x",
    allOf: [{ $ref: "#/components/schemas/Sample" }],
  });
});

it("names what the keys of an object are", () => {
  expect(keyed(text, integer(0), 100)).toEqual({
    type: "object",
    propertyNames: { type: "string" },
    additionalProperties: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    maxProperties: 100,
  });
});
