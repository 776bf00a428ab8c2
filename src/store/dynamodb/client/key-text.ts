import { createHash } from "node:crypto";

export const MAX_PARTITION_KEY_BYTES = 2_048;
export const MAX_SORT_KEY_BYTES = 1_024;

/** Begins every hashed key, and no other. */
const HASHED = "#sha256:";

/**
 * Returns the text, or its hash where it is longer than a key may be. No two texts share a key.
 */
export function boundedKey(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes && !text.startsWith(HASHED)) return text;
  return HASHED + createHash("sha256").update(text).digest("base64url");
}

/**
 * Any text as part of a key, and back: a key is not empty, and well-formed Unicode, so what is not is quoted. Nor is it
 * the name of something that every object has.
 */
export function keyText(text: string): string {
  return /\p{Surrogate}/u.test(text) ? `!${JSON.stringify(text)}` : `:${text}`;
}

export function textOfKey(key: string): string {
  return key.startsWith("!") ? (JSON.parse(key.slice(1)) as string) : key.slice(1);
}
