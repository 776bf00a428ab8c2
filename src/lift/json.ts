import type { Json } from "../store/index.ts";
import { LiftError } from "./errors.ts";

/** Deepest nesting of a value. It is shallow enough for the stack, and stops at circular values. */
const MAX_DEPTH = 200;

/**
 * Converts a value to JSON: calls `toJSON`, and drops properties that are undefined. Rejects values that JSON.stringify
 * would change silently, such as NaN, a function or a Map.
 * @throws {LiftError} STATE_NOT_JSON
 */
export function toJson(value: unknown, depth = 0): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      break;
    case "object":
      if (value === null) return null;
      if (depth < MAX_DEPTH) return objectToJson(value, depth + 1);
      throw notJson(`it is circular, or nested deeper than ${MAX_DEPTH} levels`);
  }
  throw notJson(`it contains ${typeof value === "number" ? String(value) : `a ${typeof value}`}`);
}

function objectToJson(value: object, depth: number): Json {
  if ("toJSON" in value && typeof value.toJSON === "function") return toJson(value.toJSON(), depth);
  if (Array.isArray(value)) {
    return value.map((item) => (item === undefined ? null : toJson(item, depth)));
  }
  if (value instanceof Map || value instanceof Set) throw notJson("it contains a Map or a Set");
  const defined = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(defined.map(([name, field]) => [name, toJson(field, depth)]));
}

function notJson(reason: string): LiftError {
  return new LiftError("STATE_NOT_JSON", { message: `A connection's state must be JSON: ${reason}` });
}

/** Returns a copy that the caller may change. */
export function copyJson(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copyJson);
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copyJson(field)]));
}

/**
 * Serializes the value of a message or a body.
 * @throws {LiftError} NOT_JSON for a value that is circular, nested too deep, a BigInt or undefined
 */
export function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new LiftError("NOT_JSON", { cause });
  }
  if (text === undefined) throw new LiftError("NOT_JSON");
  return text;
}
