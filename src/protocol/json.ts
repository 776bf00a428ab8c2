/** What a message can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** In unicode mode only half a pair is one. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** How large a text is on the wire, in bytes of UTF-8. A lone surrogate is sent as a replacement of 3 bytes. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
