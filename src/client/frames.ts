import { CLIENT_LIMITS, utf8Length } from "../protocol/index.ts";

/** What the list in a frame may take, in bytes; the rest of 32,768 is for what is around it. */
const MAX_LIST_BYTES = 32_000;

/** Splits a list into such as fit into a frame each: 100 items, and as many bytes as a message may have. */
export function frames<T>(items: Iterable<T>, write: (item: T) => unknown): T[][] {
  const split: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = utf8Length(JSON.stringify(write(item))) + 1;
    const last = split.at(-1);
    if (last !== undefined && last.length < CLIENT_LIMITS.channels && bytes + size <= MAX_LIST_BYTES) {
      last.push(item);
      bytes += size;
    } else {
      split.push([item]);
      bytes = size;
    }
  }
  return split;
}
