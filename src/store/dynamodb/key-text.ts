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
