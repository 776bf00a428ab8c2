/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Half of a surrogate pair. In unicode mode the pattern does not match the halves of a whole pair. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** Returns the size of a text on the wire, in bytes of UTF-8. A lone surrogate is sent as a replacement of 3 bytes. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
