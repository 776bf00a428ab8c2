import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expect, it } from "vitest";
import { z } from "zod";
import { convert } from "./json-schema.ts";

const AT = "#/components/schemas/room.data";

/** A validator with this JSON Schema. */
function validator(jsonSchema: unknown, vendor = "acme"): StandardSchemaV1 {
  const standard = { version: 1, vendor, validate: (value: unknown) => ({ value }) } as const;
  return { "~standard": { ...standard, ...(jsonSchema !== undefined && { jsonSchema }) } };
}

const giving = (schema: unknown) => validator({ input: () => schema, output: () => schema });

const throwing = (thrown: unknown) => () => {
  throw thrown;
};

it("describes the values that a validator accepts as input, and those it returns as output", () => {
  const line = z.object({ text: z.string(), mentions: z.array(z.string()).default([]) });
  expect(convert(line, "input", "room.data").schema).toMatchObject({ required: ["text"] });
  expect(convert(line, "output", "room.data").schema).toMatchObject({ required: ["text", "mentions"] });
});

it("requests the dialect of AsyncAPI, and leaves out `$schema` and `$id`", () => {
  const asked: unknown[] = [];
  const input = (options: unknown) => {
    asked.push(options);
    return { $schema: "http://json-schema.org/draft-07/schema#", $id: "https://example.com/a", type: "null" };
  };
  expect(convert(validator({ input }), "input", "room.data")).toEqual({ schema: { type: "null" } });
  expect(asked).toEqual([{ target: "draft-07" }]);
});

it("is any JSON without a validator", () => {
  expect(convert(undefined, "input", "room.data")).toEqual({ schema: { description: "Any JSON" } });
});

it.each([
  ["has no JSON Schema", validator(undefined), "input", "acme has no JSON Schema"],
  ["has only the other side", validator({ input: () => ({}) }), "output", "acme has no JSON Schema"],
  [
    "throws",
    z.string().transform((text) => text.length),
    "output",
    "zod has no JSON Schema: Transforms cannot be represented in JSON Schema",
  ],
  ["throws text", validator({ input: throwing("no.\nmore") }), "input", /^acme has no JSON Schema: no$/],
  ["returns a list", giving([]), "input", "acme has no JSON Schema: not an object"],
  ["returns nothing", giving(undefined), "input", "acme has no JSON Schema: not an object"],
  [
    "returns a value that is not JSON",
    giving({ maximum: 1n }),
    "input",
    /^acme has no JSON Schema: .*BigInt/,
  ],
  [
    "refers to another document",
    giving({ items: { $ref: "https://example.com/a" } }),
    "input",
    "acme has no JSON Schema: it refers to https://example.com/a",
  ],
] as const)("is any JSON, with the reason, if the validator %s", (_what, schema, side, reason) => {
  const { schema: any, missing } = convert(schema, side, "room.data");
  expect(missing).toMatch(reason);
  expect(any).toEqual({
    description: `Any JSON in this document: ${missing}. The server still validates it.`,
    "x-no-json-schema": missing,
  });
});

it("moves internal references to the new place", () => {
  const Node = z.object({
    name: z.string(),
    get children() {
      return z.array(Node);
    },
  });
  expect(convert(Node, "input", "room.data").schema).toMatchObject({
    properties: { children: { items: { $ref: AT } } },
  });
  const { schema } = convert(z.object({ root: Node }), "input", "room.data");
  const { root } = schema.properties as { root: { $ref: string } };
  expect(root.$ref).toMatch(`${AT}/definitions/`);
  const name = root.$ref.slice(`${AT}/definitions/`.length);
  expect(schema).toMatchObject({
    definitions: { [name]: { properties: { children: { items: { $ref: root.$ref } } } } },
  });
});

it("keeps values that only look like references", () => {
  const schema = {
    properties: { $ref: { type: "string" }, a: { const: { $ref: "#" }, default: { $ref: "#" } } },
    enum: [{ $ref: "#" }],
    examples: [{ $ref: "#" }],
  };
  expect(convert(giving(schema), "input", "room.data").schema).toEqual(schema);
});

it("keeps the definitions of a schema that is itself a reference", () => {
  const schema = { $ref: "#/definitions/A", definitions: { A: { type: "null" } } };
  expect(convert(giving(schema), "input", "room.data").schema).toEqual({
    allOf: [{ $ref: `${AT}/definitions/A` }],
    definitions: { A: { type: "null" } },
  });
});
