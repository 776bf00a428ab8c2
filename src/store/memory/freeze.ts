import type { Json } from "../contracts/json.ts";

/** A deep copy, frozen: nobody can change it, so it can be handed out as it is. */
export function frozenCopy<Value extends Json>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  const copy = Array.isArray(value)
    ? value.map(frozenCopy)
    : Object.fromEntries(Object.entries(value).map(([name, field]) => [name, frozenCopy(field)]));
  return Object.freeze(copy) as Value;
}
