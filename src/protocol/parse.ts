import { parseChannelName } from "./channel-name.ts";
import { ProtocolError } from "./codes.ts";
import { LONE_SURROGATE, utf8Length } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type {
  Infer,
  JsonValueSchema,
  ListSchema,
  MapSchema,
  NumberSchema,
  ObjectSchema,
  RecordSchema,
  Schema,
  TextSchema,
  UnionSchema,
} from "./schema.ts";

/** A value does not match its schema. */
export class ValidationError extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/**
 * Parses a JSON object.
 * @throws {ProtocolError} MALFORMED_JSON; VALIDATION_ERROR for JSON that is not an object
 */
export function parseObject(message: string): { readonly [name: string]: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    throw new ProtocolError("MALFORMED_JSON", "The message is not JSON");
  }
  try {
    return toRecord(value, "");
  } catch (error) {
    throw toProtocolError(error);
  }
}

/**
 * Returns the value as its schema describes it, without unknown fields.
 * @param path where the value stands in the message; empty for the message itself
 * @throws {ProtocolError} VALIDATION_ERROR, with the request's id
 */
export function parseAs<S extends Schema>(
  schema: S,
  value: unknown,
  path: string,
  requestId?: string,
): Infer<S> {
  return parseValue(schema, value, path, requestId) as Infer<S>;
}

/** As `parseAs`, for a schema that is known at run time only. */
export function parseValue(schema: Schema, value: unknown, path: string, requestId?: string): unknown {
  try {
    return parse(schema, value, path);
  } catch (error) {
    throw toProtocolError(error, requestId);
  }
}

export function toProtocolError(error: unknown, requestId?: string): unknown {
  if (!(error instanceof ValidationError)) return error;
  const { path, message } = error;
  const subject = path === "" ? "The message" : path;
  return new ProtocolError("VALIDATION_ERROR", `${subject} ${message}`, requestId, { path, message });
}

/** @throws {ValidationError} */
function parse(schema: Schema, value: unknown, path: string): unknown {
  switch (schema.kind) {
    case "text":
      return parseText(schema, value, path);
    case "channel":
      if (typeof value === "string" && parseChannelName(value) !== undefined) return value;
      throw new ValidationError(path, "must be a channel, namespace:name");
    case "integer":
    case "number":
      return parseNumber(schema, value, path);
    case "boolean":
      if (typeof value === "boolean") return value;
      throw new ValidationError(path, "must be true or false");
    case "json":
      return checkJson(schema, value, path);
    case "constant":
      if (value === schema.value) return value;
      throw new ValidationError(path, `must be ${schema.value}`);
    case "enum":
      if (schema.values.includes(value as string)) return value;
      throw new ValidationError(path, `must be ${schema.values.join(", ")}`);
    case "list":
      return parseList(schema, value, path);
    case "map":
      return new Map(parseEntries(schema, value, path));
    case "record":
      return Object.fromEntries(parseEntries(schema, value, path));
    case "object":
      return parseFields(schema, value, path);
    case "union":
      return parseUnion(schema, value, path);
  }
}

function parseText({ bytes, wellFormed, format }: TextSchema, value: unknown, path: string): string {
  if (typeof value !== "string") throw new ValidationError(path, "must be text");
  if (bytes !== undefined) {
    const [min, max] = bytes;
    const length = utf8Length(value);
    if (length < min || length > max) throw new ValidationError(path, `must have ${min} to ${max} bytes`);
  }
  if (wellFormed && LONE_SURROGATE.test(value)) {
    throw new ValidationError(path, "must not end within a character");
  }
  if (format !== undefined && !format.pattern.test(value)) throw new ValidationError(path, format.message);
  return value;
}

function parseNumber({ kind, min, max }: NumberSchema, value: unknown, path: string): number {
  const isOfKind = kind === "integer" ? Number.isInteger(value) : typeof value === "number";
  if (isOfKind && (value as number) >= min && (value as number) <= max) return value as number;
  throw new ValidationError(
    path,
    `must be ${kind === "integer" ? "an integer" : "a number"} from ${min} to ${max}`,
  );
}

/** Limits depth first: `JSON.stringify` overflows the stack on JSON that is nested too deep. */
function checkJson({ maxBytes }: JsonValueSchema, value: unknown, path: string): unknown {
  if (value === undefined) throw new ValidationError(path, "is missing");
  if (depthOf(value, LIMITS.depth) > LIMITS.depth) {
    throw new ValidationError(path, `must not be nested deeper than ${LIMITS.depth} levels`);
  }
  if (maxBytes !== undefined && utf8Length(JSON.stringify(value)) > maxBytes) {
    throw new ValidationError(path, `must have at most ${maxBytes} bytes`);
  }
  return value;
}

function parseList(schema: ListSchema, value: unknown, path: string): unknown[] {
  const { items, min, max = Number.POSITIVE_INFINITY, uniqueBy } = schema;
  if (!Array.isArray(value)) throw new ValidationError(path, "must be a list");
  if (value.length < min || value.length > max) {
    throw new ValidationError(path, `must have ${min} to ${max} items`);
  }
  const parsed = value.map((item, index) => parse(items, item, `${path}[${index}]`));
  if (uniqueBy === undefined) return parsed;
  const keys = new Set(parsed.map((item) => (item as { readonly [name: string]: unknown })[uniqueBy]));
  if (keys.size === parsed.length) return parsed;
  throw new ValidationError(path, `must name each ${uniqueBy} once`);
}

function parseEntries(schema: MapSchema | RecordSchema, value: unknown, path: string): [string, unknown][] {
  const entries = Object.entries(toRecord(value, path));
  const { keys, max } = schema.kind === "map" ? schema : {};
  if (max !== undefined && entries.length > max) {
    throw new ValidationError(path, `must have at most ${max} fields`);
  }
  return entries.map(([key, field]) => {
    if (keys !== undefined) parse(keys, key, path);
    return [key, parse(schema.values, field, `${path}[${JSON.stringify(key)}]`)];
  });
}

/** Reads the object's own fields only, so that nothing is found in a prototype. */
function parseFields(schema: ObjectSchema, value: unknown, path: string): object {
  const from = toRecord(value, path);
  const parsed: { [name: string]: unknown } = {};
  for (const name in schema.fields) {
    const field = schema.fields[name]!;
    const fieldValue = Object.hasOwn(from, name) ? from[name] : undefined;
    const isOptional = field.kind === "optional";
    if (isOptional && fieldValue === undefined) continue;
    parsed[name] = parse(isOptional ? field.schema : field, fieldValue, join(path, name));
  }
  checkRules(schema, parsed, path);
  return parsed;
}

function checkRules(
  { notBoth, ascending }: ObjectSchema,
  parsed: { readonly [name: string]: unknown },
  path: string,
): void {
  if (notBoth?.every((name) => parsed[name] !== undefined)) {
    throw new ValidationError(path, `must have one of ${notBoth.join(" and ")}`);
  }
  if (ascending === undefined) return;
  const [lesser, greater] = ascending;
  if (!((parsed[lesser] as number) < (parsed[greater] as number))) {
    throw new ValidationError(join(path, lesser), `must be less than ${greater}`);
  }
}

function parseUnion({ options }: UnionSchema, value: unknown, path: string): unknown {
  let failure: unknown;
  for (const option of options) {
    try {
      return parse(option, value, path);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function toRecord(value: unknown, path: string): { readonly [name: string]: unknown } {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as { readonly [name: string]: unknown };
  }
  throw new ValidationError(path, value === undefined ? "is missing" : "must be an object");
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** Counts levels of nesting, and stops one past `limit`. */
function depthOf(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (limit === 0) return 1;
  let deepest = 0;
  for (const inner of Object.values(value)) {
    deepest = Math.max(deepest, depthOf(inner, limit - 1));
    if (deepest >= limit) break;
  }
  return deepest + 1;
}
