import fc from "fast-check";

/** `fc.string({ unit: "binary" })` first lists all of Unicode, which takes each test file a second or more. */
export const anyText = fc.string({
  unit: fc
    .oneof(
      fc.integer({ min: 0, max: 0xd7ff }),
      fc.integer({ min: 0xe000, max: 0x10ffff }),
      // Characters that move a cursor, break a line or change the writing direction are rare otherwise.
      fc.constantFrom(0x1b, 0x2028, 0x202e),
    )
    .map((point) => String.fromCodePoint(point), codePointOf),
});

/** Lets fast-check insert words that are dangerous in JavaScript, such as `__proto__`. */
function codePointOf(character: unknown): number {
  const point = typeof character === "string" ? character.codePointAt(0) : undefined;
  if (point === undefined || String.fromCodePoint(point) !== character) throw new Error("Not a character");
  return point;
}
