import { MAX_CHANNELS, utf8Length } from "../../protocol/index.ts";

/** The bytes in a frame for a list, or for a chunk of text. The rest of 32,768 is for the fields around it. */
const MAX_BYTES = 32_000;

/** Splits a list into lists that fit into a frame each: at most 100 items, and `MAX_BYTES`. */
export function splitIntoFrames<T>(items: Iterable<T>, write: (item: T) => unknown): T[][] {
  const split: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = utf8Length(JSON.stringify(write(item))) + 1;
    const last = split.at(-1);
    if (last && last.length < MAX_CHANNELS && bytes + size <= MAX_BYTES) {
      last.push(item);
      bytes += size;
    } else {
      split.push([item]);
      bytes = size;
    }
  }
  return split;
}

/**
 * Splits a message that is larger than a frame, between characters.
 * @param message its number among the connection's messages in chunks
 * @param text JSON, so without control characters
 */
export function splitIntoChunks(id: string, message: number, text: string): string[] {
  // 640 characters at a time: one by one takes much longer. A chunk is serialized once more, inside a `part`.
  const chunks = splitIntoFrames(text.match(/.{1,640}/gsu) ?? [], (characters) => characters);
  return chunks.map((chunk, index) =>
    JSON.stringify({
      id,
      action: "part",
      payload: { message, index, count: chunks.length, text: chunk.join("") },
    }),
  );
}
