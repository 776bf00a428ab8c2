import { ProtocolError } from "./codes.ts";
import { type Json, LONE_SURROGATE, utf8Length } from "./json.ts";
import { LIMITS } from "./limits.ts";

/** Takes a value that a client wrote, and gives it back as what it must be. @throws {ValidationError} */
export type Reader<T> = (value: unknown, path: string) => T;

/** A value that is not what it must be. */
export class ValidationError extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** `undefined` where a field may be missing; `null` is a value. */
export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, path) => (value === undefined ? undefined : reader(value, path));
}

/** Text of so many bytes. */
export function text(min: number, max: number): Reader<string> {
  return (value, path) => {
    if (typeof value !== "string") throw new ValidationError(path, "must be text");
    const bytes = utf8Length(value);
    if (bytes < min || bytes > max) throw new ValidationError(path, `must have ${min} to ${max} bytes`);
    return value;
  };
}

/** Half of a pair of surrogates has no UTF-8: what is stored of it would not be it. */
export function wellFormed(reader: Reader<string>): Reader<string> {
  return (value, path) => {
    const read = reader(value, path);
    if (!LONE_SURROGATE.test(read)) return read;
    throw new ValidationError(path, "must not end within a character");
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Reader<T> {
  return (value, path) => {
    if (values.includes(value as T)) return value as T;
    throw new ValidationError(path, `must be ${values.join(", ")}`);
  };
}

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value, path) => {
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)
      return value as number;
    throw new ValidationError(path, `must be an integer from ${min} to ${max}`);
  };
}

export const boolean: Reader<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw new ValidationError(path, "must be true or false");
};

export function list<T>(reader: Reader<T>, min: number, max: number): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new ValidationError(path, "must be a list");
    if (value.length < min || value.length > max)
      throw new ValidationError(path, `must have ${min} to ${max} items`);
    return value.map((item, index) => reader(item, `${path}[${index}]`));
  };
}

/** What `object` makes of its fields: those that may be missing are left out where they are. */
export type Fields<Shape extends { [name: string]: Reader<unknown> }> = {
  [Name in keyof Shape as undefined extends ReturnType<Shape[Name]> ? never : Name]: ReturnType<Shape[Name]>;
} & {
  [Name in keyof Shape as undefined extends ReturnType<Shape[Name]> ? Name : never]?: Exclude<
    ReturnType<Shape[Name]>,
    undefined
  >;
};

/** An object with these fields; others are left out. Its own fields only, so that nothing is found in a prototype. */
export function object<Shape extends { [name: string]: Reader<unknown> }>(
  shape: Shape,
): Reader<Fields<Shape>> {
  const fields = Object.entries(shape);
  return (value, path) => {
    const from = record(value, path);
    const read: { [name: string]: unknown } = {};
    for (const [name, reader] of fields) {
      const field = reader(Object.hasOwn(from, name) ? from[name] : undefined, join(path, name));
      if (field !== undefined) read[name] = field;
    }
    return read as Fields<Shape>;
  };
}

/** An object whose keys are the client's choice: a Map, which has no prototype to fall into. */
export function mapOf<T>(key: Reader<string>, reader: Reader<T>, max: number): Reader<Map<string, T>> {
  return (value, path) => {
    const entries = Object.entries(record(value, path));
    if (entries.length > max) throw new ValidationError(path, `must have at most ${max} fields`);
    return new Map(
      entries.map(([name, field]) => [key(name, path), reader(field, `${path}[${JSON.stringify(name)}]`)]),
    );
  };
}

/** Any JSON, nested no deeper than it may be. */
export function json(maxBytes = Number.POSITIVE_INFINITY): Reader<Json> {
  return (value, path) => {
    if (value === undefined) throw new ValidationError(path, "is missing");
    if (depthOf(value, LIMITS.depth) > LIMITS.depth) {
      throw new ValidationError(path, `must not be nested deeper than ${LIMITS.depth} levels`);
    }
    if (maxBytes !== Number.POSITIVE_INFINITY && utf8Length(JSON.stringify(value)) > maxBytes) {
      throw new ValidationError(path, `must have at most ${maxBytes} bytes`);
    }
    return value as Json;
  };
}

/** @throws {ProtocolError} MALFORMED_JSON, and VALIDATION_ERROR where it is no object */
export function parseObject(message: string): { readonly [name: string]: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    throw new ProtocolError("MALFORMED_JSON", "The message is not JSON");
  }
  try {
    return record(value, "");
  } catch (misfit) {
    throw validationError(misfit);
  }
}

/** Runs a reader. @throws {ProtocolError} VALIDATION_ERROR */
export function readAs<T>(reader: Reader<T>, value: unknown, path: string, requestId?: string): T {
  try {
    return reader(value, path);
  } catch (misfit) {
    throw validationError(misfit, requestId);
  }
}

function validationError(misfit: unknown, requestId?: string): unknown {
  if (!(misfit instanceof ValidationError)) return misfit;
  const { path, message } = misfit;
  const where = path === "" ? "The message" : path;
  return new ProtocolError("VALIDATION_ERROR", `${where} ${message}`, requestId, { path, message });
}

function record(value: unknown, path: string): { readonly [name: string]: unknown } {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as { readonly [name: string]: unknown };
  }
  throw new ValidationError(path, value === undefined ? "is missing" : "must be an object");
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** Levels of a value; looks no deeper than one past `limit`. */
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
