import { CLIENT_LIMITS, utf8Length } from "../../protocol/index.ts";

/** What a list, or a piece of a text, may take in a frame, in bytes; the rest of 32,768 is for what is around it. */
const MAX_BYTES = 32_000;

/** Splits a list into such as fit into a frame each: 100 items, and as many bytes as a message may have. */
export function splitIntoFrames<T>(items: Iterable<T>, write: (item: T) => unknown): T[][] {
  const split: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = utf8Length(JSON.stringify(write(item))) + 1;
    const last = split.at(-1);
    if (last && last.length < CLIENT_LIMITS.channels && bytes + size <= MAX_BYTES) {
      last.push(item);
      bytes += size;
    } else {
      split.push([item]);
      bytes = size;
    }
  }
  return split;
}

/** Cuts a message that is larger than a frame into parts, between characters. @param text JSON, so without controls */
export function splitIntoChunks(id: string, text: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  let bytes = 0;
  // A few characters at a time: one by one takes ten times as long.
  for (const characters of text.match(/.{1,64}/gsu) ?? []) {
    // As it stands in JSON once more.
    const size = utf8Length(JSON.stringify(characters)) - 2;
    if (bytes + size > MAX_BYTES) {
      pieces.push(piece);
      piece = "";
      bytes = 0;
    }
    piece += characters;
    bytes += size;
  }
  pieces.push(piece);
  const count = pieces.length;
  return pieces.map((piece, index) =>
    JSON.stringify({ id, action: "part", payload: { message: +id, index, count, text: piece } }),
  );
}
