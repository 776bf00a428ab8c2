/** What a message can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** In unicode mode only half a pair is one. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** How large a text is on the wire, in bytes of UTF-8. A lone surrogate is sent as a replacement of 3 bytes. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const point = text.codePointAt(at)!;
    if (point > 0x7f) bytes++;
    if (point > 0x7ff) bytes++;
    // A pair: 4 bytes for two units.
    if (point > 0xffff) at++;
  }
  return bytes;
}
