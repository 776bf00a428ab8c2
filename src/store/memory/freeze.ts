import type { Json } from "../contracts/json.ts";

/** Returns a deeply frozen copy, which can be returned to callers without another copy. */
export function frozenCopy<Value extends Json>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  const copy = Array.isArray(value)
    ? value.map(frozenCopy)
    : Object.fromEntries(Object.entries(value).map(([name, field]) => [name, frozenCopy(field)]));
  return Object.freeze(copy) as Value;
}
