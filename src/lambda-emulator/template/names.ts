import { createHash } from "node:crypto";
import type { Stack } from "./parameters.ts";

/** Returns `<stack>-<logicalId>`. A longer name is cut and ends with a hash, so that two never collide. */
export function nameOf(
  { name: stack }: { readonly name: string },
  logicalId: string,
  maxLength: number,
): string {
  const name = `${stack}-${logicalId}`;
  if (name.length <= maxLength) return name;
  const hash = hashOf(name).slice(0, 8);
  return `${name.slice(0, maxLength - hash.length - 1)}-${hash}`;
}

/** Returns the ID of a resource: ten lowercase letters and digits, like those of API Gateway. */
export function idOf({ name, region }: Stack, logicalId: string): string {
  return BigInt(`0x${hashOf(`${region}/${name}/${logicalId}`)}`)
    .toString(36)
    .slice(0, 10);
}

/** Returns a UUID that depends on the text only. */
export function uuidOf(text: string): string {
  return hashOf(text).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-4$3-8$4-$5");
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
