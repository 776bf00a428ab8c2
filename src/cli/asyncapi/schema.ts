import type { Json } from "../../protocol/index.ts";

/** A JSON Schema (draft 7), whatever it is of. */
export interface AnySchema {
  readonly [keyword: string]: unknown;
}

/**
 * That of a `Value` on the wire. There are no such properties: by them the compiler holds what is written here against
 * the protocol's interfaces, both ways.
 */
export interface SchemaOf<Value, Names> extends AnySchema {
  readonly "~of"?: (value: Value) => Value;
  /** Besides, as a type without a field that may be missing does for one that has it. */
  readonly "~fields"?: (name: Names) => Names;
}

export type Schema<Value> = SchemaOf<Value, keyof Value>;

/** A field that may be missing. */
export interface Optional<Value> {
  readonly optional: Schema<Value>;
}

/** A schema for each field of a `Value`, and for no other. */
export type Fields<Value> = {
  readonly [Name in keyof Value]-?: object extends Pick<Value, Name>
    ? Optional<Exclude<Value[Name], undefined>>
    : Schema<Value[Name]>;
};

export function optional<Value>(schema: Schema<Value>): Optional<Value> {
  return { optional: schema };
}

/** With these fields, and others, which a receiver ignores. */
export function object<Value extends object>(fields: Fields<Value>): Schema<Value> {
  const all = Object.entries(fields) as [string, Schema<unknown> | Optional<unknown>][];
  const isOptional = (field: object): field is Optional<unknown> => "optional" in field;
  const required = all.filter(([, field]) => !isOptional(field)).map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(
      all.map(([name, field]) => [name, isOptional(field) ? field.optional : field]),
    ),
    ...(required.length > 0 && { required }),
  };
}

/** Described, for readers. */
export function described<Value>(description: string, schema: Schema<Value>): Schema<Value> {
  // What stands beside a `$ref` is ignored.
  return "$ref" in schema ? { description, allOf: [schema] } : { ...schema, description };
}

export const text: Schema<string> = { type: "string" };
export const boolean: Schema<boolean> = { type: "boolean" };
export const json: Schema<Json> = {};
export const nothing: Schema<{ readonly [name: string]: never }> = { type: "object" };

/** JSON Schema counts characters, the protocol bytes: a text of others than ASCII may be too long all the same. */
export function shortText(min: number, maxBytes: number): Schema<string> {
  return {
    type: "string",
    minLength: min,
    maxLength: maxBytes,
    description: `At most ${maxBytes} bytes of UTF-8`,
  };
}

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Schema<number> {
  return { type: "integer", minimum: min, maximum: max };
}

export function constant<const Value extends string | boolean>(value: Value): Schema<Value> {
  return { type: typeof value, const: value };
}

export function oneOf<const Value extends string>(...values: readonly Value[]): Schema<Value> {
  return { type: "string", enum: values };
}

export function list<Item>(items: Schema<Item>, min = 0, max?: number): Schema<readonly Item[]> {
  return {
    type: "array",
    items,
    ...(min > 0 && { minItems: min }),
    ...(max !== undefined && { maxItems: max }),
  };
}

/** An object by keys; a Map where it has been read. */
export function keyed<Value>(
  key: Schema<string>,
  value: Schema<Value>,
  max?: number,
): Schema<{ readonly [key: string]: Value }> & Schema<ReadonlyMap<string, Value>> {
  return {
    type: "object",
    propertyNames: key,
    additionalProperties: value,
    ...(max !== undefined && { maxProperties: max }),
  };
}

/** One of several for the same. */
export function anyOf<Value>(schemas: readonly Schema<Value>[]): Schema<Value> {
  return schemas.length === 1 ? schemas[0]! : { anyOf: schemas };
}

export function either<A, B>(one: Schema<A>, other: Schema<B>): Schema<A | B> {
  return { anyOf: [one, other] };
}

/** The schemas that others refer to, by name. */
export class Definitions {
  readonly #schemas = new Map<string, AnySchema>();

  /** @returns a reference to it */
  define<Value>(name: string, schema: Schema<Value>): Schema<Value> {
    this.#schemas.set(name, schema);
    return { $ref: Definitions.pointer(name) };
  }

  get all(): { readonly [name: string]: AnySchema } {
    return Object.fromEntries(this.#schemas);
  }

  static pointer(name: string): string {
    return `#/components/schemas/${name}`;
  }
}
