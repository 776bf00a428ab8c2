import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { JsonSchema } from "../../protocol/index.ts";
import { Definitions } from "./definitions.ts";

/** The dialect of AsyncAPI. */
const TARGET = "draft-07";

/** `input`: the values that a validator accepts. `output`: the values that it returns. */
export type Side = "input" | "output";

/** The JSON Schema of a validator. */
export interface Converted {
  readonly schema: JsonSchema;
  /** Why the schema accepts any JSON instead. */
  readonly missing?: string;
}

/** The Standard JSON Schema part of a validator, which may lack it. */
interface Converter {
  readonly vendor?: unknown;
  readonly jsonSchema?: { readonly [Name in Side]?: (options: { readonly target: string }) => unknown };
}

/**
 * Converts a validator with Standard JSON Schema.
 * @param name the name of its definition in the document
 */
export function convert(validator: StandardSchemaV1 | undefined, side: Side, name: string): Converted {
  if (validator === undefined) return { schema: { description: "Any JSON" } };
  const { vendor, jsonSchema }: Converter = validator["~standard"];
  if (typeof jsonSchema?.[side] !== "function") {
    return missing(`${vendor} has no JSON Schema`);
  }
  try {
    return { schema: embed(jsonSchema[side]({ target: TARGET }), Definitions.pointer(name)) };
  } catch (error) {
    const [reason] = `${error instanceof Error ? error.message : error}`.split("\n");
    return missing(`${vendor} has no JSON Schema: ${reason?.replace(/\.$/, "")}`);
  }
}

function missing(reason: string): Converted {
  const description = `Any JSON in this document: ${reason}. The server still validates it.`;
  return { schema: { description, "x-no-json-schema": reason }, missing: reason };
}

/** Moves a standalone schema to its place in the document. @throws {Error} for a reference to another document */
function embed(converted: unknown, pointer: string): JsonSchema {
  const plain: unknown = JSON.parse(JSON.stringify(converted) ?? "null");
  if (typeof plain !== "object" || plain === null || Array.isArray(plain)) throw new Error("not an object");
  const { $schema: _dialect, $id: _base, ...root } = moved(plain as JsonSchema, pointer) as JsonSchema;
  if (!("$ref" in root)) return root;
  // Validators ignore keywords beside a `$ref`, even definitions.
  const { $ref, ...rest } = root;
  return { allOf: [{ $ref }], ...rest };
}

const BY_NAME = new Set(["properties", "patternProperties", "definitions", "$defs", "dependencies"]);
const VALUES = new Set(["const", "default", "enum", "examples"]);

/** Returns a schema, or a list of schemas, with its internal references moved to the new place. */
function moved(schema: unknown, pointer: string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, pointer));
  if (typeof schema !== "object" || schema === null) return schema;
  const move = ([keyword, value]: [string, unknown]): [string, unknown] => {
    if (VALUES.has(keyword)) return [keyword, value];
    if (keyword === "$ref") return [keyword, movedReference(value, pointer)];
    if (!BY_NAME.has(keyword)) return [keyword, moved(value, pointer)];
    const entries = Object.entries(value as object);
    return [keyword, Object.fromEntries(entries.map(([name, one]) => [name, moved(one, pointer)]))];
  };
  return Object.fromEntries(Object.entries(schema).map(move));
}

function movedReference(reference: unknown, pointer: string): string {
  const text = String(reference);
  if (text !== "#" && !text.startsWith("#/")) throw new Error(`it refers to ${text}`);
  return pointer + text.slice(1);
}
