import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { JsonSchema } from "../../protocol/index.ts";
import { Definitions } from "./definitions.ts";

/** As AsyncAPI's own. */
const TARGET = "draft-07";

/** `input`: what the validator takes. `output`: what it makes of that. */
export type Side = "input" | "output";

/** A validator's JSON Schema. */
export interface Converted {
  readonly schema: JsonSchema;
  /** Why it is of any JSON instead. */
  readonly missing?: string;
}

/** What there is of Standard JSON Schema in a validator, which need not know it. */
interface Converter {
  readonly vendor?: unknown;
  readonly jsonSchema?: { readonly [Name in Side]?: (options: { readonly target: string }) => unknown };
}

/**
 * A validator's schema, by Standard JSON Schema.
 * @param name of its definition in the document
 */
export function convert(validator: StandardSchemaV1 | undefined, side: Side, name: string): Converted {
  if (validator === undefined) return { schema: { description: "Any JSON" } };
  const { vendor, jsonSchema }: Converter = validator["~standard"];
  if (typeof jsonSchema?.[side] !== "function") {
    return missing(`${vendor} gives no JSON Schema`);
  }
  try {
    return { schema: embed(jsonSchema[side]({ target: TARGET }), Definitions.pointer(name)) };
  } catch (error) {
    const [reason] = `${error instanceof Error ? error.message : error}`.split("\n");
    return missing(`${vendor} gives no JSON Schema: ${reason?.replace(/\.$/, "")}`);
  }
}

function missing(reason: string): Converted {
  const description = `Any JSON, as far as this document knows: ${reason}. The server checks it all the same.`;
  return { schema: { description, "x-no-json-schema": reason }, missing: reason };
}

/** A schema that stood for itself, at its place in the document. @throws {Error} it leads out of itself */
function embed(converted: unknown, pointer: string): JsonSchema {
  const plain: unknown = JSON.parse(JSON.stringify(converted) ?? "null");
  if (typeof plain !== "object" || plain === null || Array.isArray(plain)) throw new Error("not an object");
  const { $schema: _dialect, $id: _base, ...root } = moved(plain as JsonSchema, pointer) as JsonSchema;
  if (!("$ref" in root)) return root;
  // What stands beside a `$ref` is ignored, its own definitions too.
  const { $ref, ...rest } = root;
  return { allOf: [{ $ref }], ...rest };
}

const BY_NAME = new Set(["properties", "patternProperties", "definitions", "$defs", "dependencies"]);
const VALUES = new Set(["const", "default", "enum", "examples"]);

/** A schema, or a list of them, with its references to within itself moved along. */
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
