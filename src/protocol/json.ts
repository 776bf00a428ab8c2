/** What a message can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** In unicode mode only half a pair is one. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** How large a text is on the wire, in bytes of UTF-8. A lone surrogate is sent as a replacement of 3 bytes. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) bytes++;
    if (unit > 0x7ff) bytes++;
    if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(at + 1))) {
      // A pair: 4 bytes for two units.
      at++;
    }
  }
  return bytes;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
