import { hash } from "node:crypto";
import type { Json } from "./json.ts";

/**
 * Returns a text that differs for another action or input, so that a store need not keep the input to compare it. The order
 * of an object's keys makes no difference.
 */
export function fingerprintRequest({
  action,
  input,
}: {
  readonly action: string;
  readonly input: Json;
}): string {
  return hash("sha256", JSON.stringify([action, sortKeys(input)]), "base64url");
}

function sortKeys(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sortKeys);
  const fields = Object.entries(value).map(([name, field]) => [name, sortKeys(field)] as const);
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}
