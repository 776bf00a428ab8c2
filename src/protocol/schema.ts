import type { Json } from "./json.ts";

/**
 * The language that describes messages: plain objects, read by the parser (`parse.ts`), by the JSON Schema generator
 * (`json-schema.ts`) and by the compiler (`Infer`).
 */
export type Schema =
  | TextSchema
  | ChannelSchema
  | NumberSchema
  | BooleanSchema
  | JsonValueSchema
  | ConstantSchema
  | EnumSchema
  | ListSchema
  | MapSchema
  | RecordSchema
  | ObjectSchema
  | UnionSchema;

/** A place for a payload whose schema each namespace sets. The names are those of `ChannelTypes` in `channel-types.ts`. */
export type Slot = "dataInput" | "data" | "stateInput" | "state";

interface Documented {
  /** Shown in the JSON Schema. */
  readonly description?: string;
}

export interface TextSchema extends Documented {
  readonly kind: "text";
  /** Bytes of UTF-8. Absent: any length. */
  readonly bytes?: readonly [min: number, max: number];
  /** Refuses half of a surrogate pair: it has no UTF-8, so a stored copy would differ. */
  readonly wellFormed?: true;
  readonly format?: { readonly pattern: RegExp; readonly message: string };
}

/** The name of a channel, `namespace:name`. */
export interface ChannelSchema extends Documented {
  readonly kind: "channel";
}

export interface NumberSchema extends Documented {
  readonly kind: "integer" | "number";
  readonly min: number;
  readonly max: number;
}

export interface BooleanSchema extends Documented {
  readonly kind: "boolean";
}

/** Any JSON value. */
export interface JsonValueSchema extends Documented {
  readonly kind: "json";
  /** The payload that each namespace's own schema describes. `undefined`: no namespace sets a schema for this value. */
  readonly slot: Slot | undefined;
  /** Maximum size of the serialized value, in bytes. */
  readonly maxBytes: number | undefined;
}

export interface ConstantSchema<Value extends string | boolean = string | boolean> extends Documented {
  readonly kind: "constant";
  readonly value: Value;
}

export interface EnumSchema<Value extends string = string> extends Documented {
  readonly kind: "enum";
  readonly values: readonly Value[];
}

export interface ListSchema<Item extends Schema = Schema> extends Documented {
  readonly kind: "list";
  readonly items: Item;
  readonly min: number;
  readonly max: number | undefined;
  /** No two items have the same value in this field. */
  readonly uniqueBy: string | undefined;
}

/** An object whose keys are the client's choice. It is parsed into a `Map`, where a key such as `__proto__` is harmless. */
export interface MapSchema<Value extends Schema = Schema> extends Documented {
  readonly kind: "map";
  readonly keys: Schema;
  readonly values: Value;
  readonly max: number;
}

/** An object whose keys are the server's choice. */
export interface RecordSchema<Value extends Schema = Schema> extends Documented {
  readonly kind: "record";
  readonly values: Value;
}

/** A field of an object that may be missing. */
export interface Optional<Value extends Schema = Schema> {
  readonly kind: "optional";
  readonly schema: Value;
}

export interface Fields {
  readonly [name: string]: Schema | Optional;
}

export interface ObjectRules {
  /** At most one of these two fields is present. */
  readonly notBoth?: readonly [string, string];
  /** The first of these two integers is less than the second. */
  readonly ascending?: readonly [string, string];
}

/** An object with these fields. Receivers ignore other fields. */
export interface ObjectSchema<Shape extends Fields = Fields> extends ObjectRules, Documented {
  readonly kind: "object";
  readonly fields: Shape;
  /** The name of the object's own definition in JSON Schema. Absent: it is written inline. */
  readonly name?: string;
}

export interface UnionSchema<Options extends readonly Schema[] = readonly Schema[]> extends Documented {
  readonly kind: "union";
  readonly options: Options;
}

/** The type of the values that a schema describes. */
export type Infer<S> = S extends { readonly kind: "text" | "channel" }
  ? string
  : S extends { readonly kind: "integer" | "number" }
    ? number
    : S extends { readonly kind: "boolean" }
      ? boolean
      : S extends { readonly kind: "json" }
        ? Json
        : S extends ConstantSchema<infer Value>
          ? Value
          : S extends EnumSchema<infer Value>
            ? Value
            : InferCompound<S>;

type InferCompound<S> =
  S extends ListSchema<infer Item>
    ? readonly Infer<Item>[]
    : S extends MapSchema<infer Value>
      ? ReadonlyMap<string, Infer<Value>>
      : S extends RecordSchema<infer Value>
        ? { readonly [name: string]: Infer<Value> }
        : S extends UnionSchema<infer Options>
          ? Infer<Options[number]>
          : S extends ObjectSchema<infer Shape>
            ? InferObject<Shape>
            : never;

type InferObject<Shape> = keyof Shape extends never
  ? { readonly [name: string]: never }
  : Flat<
      {
        readonly [Name in keyof Shape as Shape[Name] extends Optional ? never : Name]: Infer<Shape[Name]>;
      } & {
        readonly [Name in keyof Shape as Shape[Name] extends Optional
          ? Name
          : never]?: Shape[Name] extends Optional<infer Value> ? Infer<Value> : never;
      }
    >;

/** An intersection as one object type, so that editors show its fields. */
type Flat<Value> = { [Name in keyof Value]: Value[Name] };

/** Text of `min` to `max` bytes of UTF-8. Without a range: of any length. */
export function text(...range: [] | [min: number, max: number]): TextSchema {
  return { kind: "text", ...(range.length === 2 && { bytes: range }) };
}

export const channel: ChannelSchema = { kind: "channel" };

export const boolean: BooleanSchema = { kind: "boolean" };

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): NumberSchema {
  return { kind: "integer", min, max };
}

export function number(min: number, max: number): NumberSchema {
  return { kind: "number", min, max };
}

/** Any JSON value, of at most `maxBytes` when serialized. */
export function json(maxBytes?: number): JsonValueSchema {
  return { kind: "json", slot: undefined, maxBytes };
}

/** A JSON value whose schema each namespace sets, of at most `maxBytes` when serialized. */
export function slot(name: Slot, maxBytes?: number): JsonValueSchema {
  return { kind: "json", slot: name, maxBytes };
}

export function constant<const Value extends string | boolean>(value: Value): ConstantSchema<Value> {
  return { kind: "constant", value };
}

export function oneOf<const Value extends string>(...values: readonly Value[]): EnumSchema<Value> {
  return { kind: "enum", values };
}

export function list<Item extends Schema>(
  items: Item,
  min = 0,
  max?: number,
  uniqueBy?: string,
): ListSchema<Item> {
  return { kind: "list", items, min, max, uniqueBy };
}

export function map<Value extends Schema>(keys: Schema, values: Value, max: number): MapSchema<Value> {
  return { kind: "map", keys, values, max };
}

export function record<Value extends Schema>(values: Value): RecordSchema<Value> {
  return { kind: "record", values };
}

export function object<Shape extends Fields>(fields: Shape, rules?: ObjectRules): ObjectSchema<Shape> {
  return { kind: "object", fields, ...rules };
}

export function union<const Options extends readonly Schema[]>(...options: Options): UnionSchema<Options> {
  return { kind: "union", options };
}

/** Marks a field that may be missing. `null` is a value, so it does not count as missing. */
export function optional<Value extends Schema>(schema: Value): Optional<Value> {
  return { kind: "optional", schema };
}

/** Adds a description to the JSON Schema. */
export function described<S extends Schema>(description: string, schema: S): S {
  return { ...schema, description };
}

/** Gives an object its own definition in JSON Schema, so that other definitions refer to it by name. */
export function named<Shape extends Fields>(name: string, schema: ObjectSchema<Shape>): ObjectSchema<Shape> {
  return { ...schema, name };
}
