import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expect, it } from "vitest";
import { z } from "zod";
import { convert } from "./json-schema.ts";

const AT = "#/components/schemas/room.data";

/** A validator whose JSON Schema is this. */
function validator(jsonSchema: unknown, vendor = "acme"): StandardSchemaV1 {
  const standard = { version: 1, vendor, validate: (value: unknown) => ({ value }) } as const;
  return { "~standard": { ...standard, ...(jsonSchema !== undefined && { jsonSchema }) } };
}

const giving = (schema: unknown) => validator({ input: () => schema, output: () => schema });

const throwing = (thrown: unknown) => () => {
  throw thrown;
};

it("is what the validator takes for its input, and what it makes for its output", () => {
  const line = z.object({ text: z.string(), mentions: z.array(z.string()).default([]) });
  expect(convert(line, "input", "room.data").schema).toMatchObject({ required: ["text"] });
  expect(convert(line, "output", "room.data").schema).toMatchObject({ required: ["text", "mentions"] });
});

it("asks for the JSON Schema that AsyncAPI has, and leaves out which one it is", () => {
  const asked: unknown[] = [];
  const input = (options: unknown) => {
    asked.push(options);
    return { $schema: "http://json-schema.org/draft-07/schema#", $id: "https://example.com/a", type: "null" };
  };
  expect(convert(validator({ input }), "input", "room.data")).toEqual({ schema: { type: "null" } });
  expect(asked).toEqual([{ target: "draft-07" }]);
});

it("is any JSON where there is no validator", () => {
  expect(convert(undefined, "input", "room.data")).toEqual({ schema: { description: "Any JSON" } });
});

it.each([
  ["knows nothing of JSON Schema", validator(undefined), "input", "acme gives no JSON Schema"],
  [
    "knows that of the other side only",
    validator({ input: () => ({}) }),
    "output",
    "acme gives no JSON Schema",
  ],
  [
    "throws",
    z.string().transform((text) => text.length),
    "output",
    "zod gives no JSON Schema: Transforms cannot be represented in JSON Schema",
  ],
  ["throws text", validator({ input: throwing("no.\nmore") }), "input", /^acme gives no JSON Schema: no$/],
  ["gives no object", giving([]), "input", "acme gives no JSON Schema: not an object"],
  ["gives nothing", giving(undefined), "input", "acme gives no JSON Schema: not an object"],
  ["gives what JSON has not", giving({ maximum: 1n }), "input", /^acme gives no JSON Schema: .*BigInt/],
  [
    "refers to elsewhere",
    giving({ items: { $ref: "https://example.com/a" } }),
    "input",
    "acme gives no JSON Schema: it refers to https://example.com/a",
  ],
] as const)("is any JSON where the validator %s, and says so", (_what, schema, side, reason) => {
  const { schema: any, missing } = convert(schema, side, "room.data");
  expect(missing).toMatch(reason);
  expect(any).toEqual({
    description: `Any JSON, as far as this document knows: ${missing}. The server checks it all the same.`,
    "x-no-json-schema": missing,
  });
});

it("moves references to within itself along", () => {
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

it("leaves alone what only looks like a reference", () => {
  const schema = {
    properties: { $ref: { type: "string" }, a: { const: { $ref: "#" }, default: { $ref: "#" } } },
    enum: [{ $ref: "#" }],
    examples: [{ $ref: "#" }],
  };
  expect(convert(giving(schema), "input", "room.data").schema).toEqual(schema);
});

it("keeps the definitions of a schema that is a reference itself", () => {
  const schema = { $ref: "#/definitions/A", definitions: { A: { type: "null" } } };
  expect(convert(giving(schema), "input", "room.data").schema).toEqual({
    allOf: [{ $ref: `${AT}/definitions/A` }],
    definitions: { A: { type: "null" } },
  });
});
