import type { Json } from "../store/index.ts";
import { LiftError } from "./errors.ts";

/** Deeper than any state should be, and shallow enough for every stack. A circular value is deeper than this. */
const MAX_DEPTH = 200;

/**
 * A value as JSON would keep it: dates and others with `toJSON` by what that says, properties that are undefined
 * left out. What JSON would change silently (NaN, a function, a Map) is refused.
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
      throw notJson("it is circular, or nested deeper than 200 levels");
  }
  throw notJson(`it holds ${typeof value === "number" ? String(value) : `a ${typeof value}`}`);
}

function objectToJson(value: object, depth: number): Json {
  if ("toJSON" in value && typeof value.toJSON === "function") return toJson(value.toJSON(), depth);
  if (Array.isArray(value)) {
    return value.map((item) => (item === undefined ? null : toJson(item, depth)));
  }
  if (value instanceof Map || value instanceof Set) throw notJson("it holds a Map or a Set");
  const kept = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(kept.map(([name, field]) => [name, toJson(field, depth)]));
}

function notJson(why: string): LiftError {
  return new LiftError("STATE_NOT_JSON", { message: `A connection's state holds JSON only: ${why}` });
}

/** A copy that its reader may change. */
export function copyJson(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copyJson);
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copyJson(field)]));
}

/**
 * A value as the text of a message or a body.
 * @throws {LiftError} NOT_JSON: circular, nested too deep, a BigInt, or nothing at all
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
