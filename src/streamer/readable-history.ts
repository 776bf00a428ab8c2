import type { ChannelHistory, StoredMessage } from "../store/index.ts";

/** Reads the history of a channel: the store does, and for requests their outputs. */
export type ReadableHistory = Pick<ChannelHistory, "read" | "readHead">;

/** A message that covers several of a request's output, from the offset `from` to its own. */
export interface CompactMessage extends StoredMessage {
  readonly from: number;
}

/** Returns the first offset that a message covers. */
export function firstOffsetOf(message: StoredMessage): number {
  return "from" in message ? (message as CompactMessage).from : message.offset;
}
