import { describe, expect, it } from "vitest";
import { LIMITS } from "./index.ts";
import { channelJsonSchema, namedJsonSchemas, toJsonSchema } from "./json-schema.ts";
import { POSITION } from "./position.ts";
import {
  boolean,
  channel,
  constant,
  described,
  integer,
  json,
  list,
  map,
  named,
  object,
  oneOf,
  optional,
  record,
  type Schema,
  slot,
  text,
  union,
} from "./schema.ts";

const CHANNEL = { type: "string", pattern: "^room:" };
const OPTIONS = { channel: CHANNEL, pointer: (name: string) => `#/definitions/${name}` };

const mediaType = { ...text(1, 128), format: { pattern: /^a\/[b/]+$/, message: "must be a media type" } };

describe("toJsonSchema", () => {
  it.each<[string, Schema, object]>([
    ["text", text(), { type: "string" }],
    [
      "text of limited size",
      text(1, 128),
      { type: "string", minLength: 1, maxLength: 128, description: "At most 128 bytes of UTF-8" },
    ],
    [
      "text of a format",
      mediaType,
      {
        type: "string",
        minLength: 1,
        maxLength: 128,
        pattern: "^a/[b/]+$",
        description: "At most 128 bytes of UTF-8",
      },
    ],
    ["a channel", channel, CHANNEL],
    ["an integer", integer(1, 5), { type: "integer", minimum: 1, maximum: 5 }],
    ["a boolean", boolean, { type: "boolean" }],
    ["JSON", json(), {}],
    ["JSON of limited size", json(10), { description: "At most 10 bytes of JSON" }],
    [
      "a namespace's slot, without a namespace",
      slot("data", 10),
      { description: "At most 10 bytes of JSON" },
    ],
    ["a constant text", constant("x"), { type: "string", const: "x" }],
    ["a constant boolean", constant(true), { type: "boolean", const: true }],
    ["one of several texts", oneOf("a", "b"), { type: "string", enum: ["a", "b"] }],
    ["a list", list(boolean), { type: "array", items: { type: "boolean" } }],
    [
      "a list of limited length",
      list(boolean, 1, 9),
      { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 9 },
    ],
    [
      "a map",
      map(channel, boolean, 3),
      {
        type: "object",
        propertyNames: CHANNEL,
        additionalProperties: { type: "boolean" },
        maxProperties: 3,
      },
    ],
    ["a record", record(boolean), { type: "object", additionalProperties: { type: "boolean" } }],
    ["an object without fields", object({}), { type: "object" }],
    [
      "an object without required fields",
      object({ a: optional(boolean) }),
      { type: "object", properties: { a: { type: "boolean" } } },
    ],
    [
      "an object with either of two fields",
      object({ a: optional(boolean), b: optional(text()) }, { notBoth: ["a", "b"] }),
      {
        type: "object",
        properties: { a: { type: "boolean" }, b: { type: "string" } },
        not: { required: ["a", "b"] },
      },
    ],
    ["a union", union(text(), boolean), { anyOf: [{ type: "string" }, { type: "boolean" }] }],
    ["a named object", named("Other", object({})), { $ref: "#/definitions/Other" }],
    ["a description", described("Whether", boolean), { type: "boolean", description: "Whether" }],
  ])("describes %s", (_, schema, expected) => {
    expect(toJsonSchema(schema, OPTIONS)).toStrictEqual(expected);
  });

  it("uses a replacement instead of a schema, also inside others", () => {
    const data = json();
    const replace = new Map<Schema, { $ref: string }>([[data, { $ref: "#/replaced" }]]);
    expect(toJsonSchema(object({ data }), { ...OPTIONS, replace })).toEqual({
      type: "object",
      properties: { data: { $ref: "#/replaced" } },
      required: ["data"],
    });
  });

  it("uses a namespace's schema for its slot only", () => {
    const slots = { state: { type: "null" } };
    expect(toJsonSchema(slot("state", 10), { ...OPTIONS, slots })).toEqual({ type: "null" });
    expect(toJsonSchema(slot("data", 10), { ...OPTIONS, slots })).toEqual({
      description: "At most 10 bytes of JSON",
    });
  });
});

describe("namedJsonSchemas", () => {
  it("defines each named object, with its description and references to the others", () => {
    const named = namedJsonSchemas(OPTIONS.pointer);
    expect(named.Position).toEqual({
      type: "object",
      description: "A position in a channel's history.",
      properties: {
        epoch: {
          type: "string",
          minLength: 1,
          maxLength: 128,
          description: "At most 128 bytes of UTF-8",
        },
        offset: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      },
      required: ["epoch", "offset"],
    });
    expect(named.PublishResult).toEqual({
      type: "object",
      properties: { id: { type: "string" }, position: toJsonSchema(POSITION, OPTIONS) },
      required: ["id"],
    });
  });
});

describe("channelJsonSchema", () => {
  const matches = (namespaces: string[], name: string) =>
    new RegExp(String(channelJsonSchema(namespaces).pattern), "u").test(name);

  it("accepts the channels of one namespace", () => {
    expect(channelJsonSchema(["room"])).toMatchObject({ type: "string" });
    expect(channelJsonSchema(["room"]).pattern).toContain("^room:");
    expect(["room:a", "room:", "rooms:a", "a:room:a"].map((name) => matches(["room"], name))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it("accepts the channels of several namespaces", () => {
    const names = ["room:a", "topic:b", "other:c", "a:topic:b"];
    expect(names.map((name) => matches(["room", "topic"], name))).toEqual([true, true, false, false]);
  });

  it("accepts a name up to the limit", () => {
    const name = (length: number) => `room:${"x".repeat(length)}`;
    expect(matches(["room"], name(LIMITS.channelNameBytes))).toBe(true);
    expect(matches(["room"], name(LIMITS.channelNameBytes + 1))).toBe(false);
  });
});
