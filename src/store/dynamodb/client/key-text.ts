import { createHash } from "node:crypto";

export const MAX_PARTITION_KEY_BYTES = 2_048;
export const MAX_SORT_KEY_BYTES = 1_024;

/** Prefix of every hashed key, and of no other. */
const HASHED = "#sha256:";

/** Returns the text, or its hash if it is longer than `maxBytes`. Different texts have different keys. */
export function boundedKey(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes && !text.startsWith(HASHED)) return text;
  return HASHED + createHash("sha256").update(text).digest("base64url");
}

/**
 * Encodes any text as part of a key; `textOfKey` decodes it. The prefix keeps keys from being empty or equal to names
 * such as `__proto__`. Text that is not well-formed Unicode becomes JSON.
 */
export function keyText(text: string): string {
  return /\p{Surrogate}/u.test(text) ? `!${JSON.stringify(text)}` : `:${text}`;
}

export function textOfKey(key: string): string {
  return key.startsWith("!") ? (JSON.parse(key.slice(1)) as string) : key.slice(1);
}
