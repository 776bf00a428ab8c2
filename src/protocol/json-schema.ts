import { LIMITS } from "./limits.ts";
import { POSITION } from "./position.ts";
import { PUBLISH_RESULT, REQUEST_INFO, REQUEST_SUMMARY } from "./results.ts";
import type { ObjectSchema, Optional, Schema, Slot, TextSchema } from "./schema.ts";
import { ERROR_BODY, LIVE_STREAM, SERVER_MESSAGES } from "./server-messages.ts";

/** A JSON Schema, draft 7. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

export interface JsonSchemaOptions {
  /** The schema of a channel's name. */
  readonly channel: JsonSchema;
  /** The schemas of payloads that a namespace sets. Default: any JSON. */
  readonly slots?: { readonly [Name in Slot]?: JsonSchema };
  /** Used in place of these schema objects, such as the data of a response. */
  readonly replace?: ReadonlyMap<Schema, JsonSchema>;
  /** Where the named definitions are: `#/…/{name}`. */
  readonly pointer: (name: string) => string;
}

const NAMED: readonly ObjectSchema[] = [
  POSITION,
  LIVE_STREAM,
  PUBLISH_RESULT,
  REQUEST_INFO,
  REQUEST_SUMMARY,
  ERROR_BODY,
  SERVER_MESSAGES.error,
];

/** The definitions that schemas refer to, by name. */
export function namedJsonSchemas(pointer: JsonSchemaOptions["pointer"]): {
  readonly [name: string]: JsonSchema;
} {
  const options = { channel: {}, pointer };
  return Object.fromEntries(
    NAMED.map((schema) => [schema.name, withDescription(objectSchema(schema, options), schema.description)]),
  );
}

/**
 * The JSON Schema of a schema. JSON Schema counts characters and the protocol bytes, so it accepts some texts that are
 * too long.
 */
export function toJsonSchema(schema: Schema, options: JsonSchemaOptions): JsonSchema {
  const replaced = options.replace?.get(schema);
  if (replaced !== undefined) return replaced;
  const { description } = schema;
  if (schema.kind !== "object" || schema.name === undefined) {
    return withDescription(convert(schema, options), description);
  }
  const reference = { $ref: options.pointer(schema.name) };
  const definition = NAMED.find(({ name }) => name === schema.name);
  // Validators ignore keywords beside a `$ref`.
  return description === definition?.description ? reference : { description, allOf: [reference] };
}

function withDescription(schema: JsonSchema, description: string | undefined): JsonSchema {
  return description === undefined ? schema : { ...schema, description };
}

function convert(schema: Schema, options: JsonSchemaOptions): JsonSchema {
  switch (schema.kind) {
    case "text":
      return textSchema(schema);
    case "channel":
      return options.channel;
    case "integer":
    case "number":
      return { type: schema.kind, minimum: schema.min, maximum: schema.max };
    case "boolean":
      return { type: "boolean" };
    case "json": {
      const given = schema.slot && options.slots?.[schema.slot];
      if (given !== undefined) return given;
      return schema.maxBytes === undefined ? {} : { description: `At most ${schema.maxBytes} bytes of JSON` };
    }
    case "constant":
      return { type: typeof schema.value, const: schema.value };
    case "enum":
      return { type: "string", enum: schema.values };
    case "list":
      return {
        type: "array",
        items: toJsonSchema(schema.items, options),
        ...(schema.min > 0 && { minItems: schema.min }),
        ...(schema.max !== undefined && { maxItems: schema.max }),
      };
    case "map":
      return {
        type: "object",
        propertyNames: toJsonSchema(schema.keys, options),
        additionalProperties: toJsonSchema(schema.values, options),
        maxProperties: schema.max,
      };
    case "record":
      return { type: "object", additionalProperties: toJsonSchema(schema.values, options) };
    case "object":
      return objectSchema(schema, options);
    case "union":
      return { anyOf: schema.options.map((option) => toJsonSchema(option, options)) };
  }
}

function textSchema({ bytes, format }: TextSchema): JsonSchema {
  if (bytes === undefined) return { type: "string" };
  const [minLength, maxLength] = bytes;
  return {
    type: "string",
    minLength,
    maxLength,
    ...(format !== undefined && { pattern: format.pattern.source.replaceAll("\\/", "/") }),
    description: `At most ${maxLength} bytes of UTF-8`,
  };
}

function objectSchema({ fields, notBoth }: ObjectSchema, options: JsonSchemaOptions): JsonSchema {
  const all = Object.entries(fields);
  const isOptional = (field: Schema | Optional): field is Optional => field.kind === "optional";
  const required = all.filter(([, field]) => !isOptional(field)).map(([name]) => name);
  const properties = all.map(([name, field]) => [
    name,
    toJsonSchema(isOptional(field) ? field.schema : field, options),
  ]);
  return {
    type: "object",
    ...(all.length > 0 && { properties: Object.fromEntries(properties) }),
    ...(required.length > 0 && { required }),
    ...(notBoth !== undefined && { not: { required: notBoth } }),
  };
}

/** Returns the JSON Schema of a channel's name in one of these namespaces. */
export function channelJsonSchema(namespaces: readonly string[]): JsonSchema {
  const namespace = namespaces.length === 1 ? namespaces[0] : `(?:${namespaces.join("|")})`;
  return {
    type: "string",
    pattern: `^${namespace}:[^\\u0000-\\u001f\\u007f]{1,${LIMITS.channelNameBytes}}$`,
  };
}
