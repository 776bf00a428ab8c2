import type { ChannelHistory, StoredMessage } from "../store/index.ts";

/** What reads the history of a channel: the store, and the outputs of requests before it. */
export type ReadableHistory = Pick<ChannelHistory, "read" | "readHead">;

/** A message that stands for several of a request's output, from the offset `from` to its own. */
export interface CompactMessage extends StoredMessage {
  readonly from: number;
}

/** Returns the first offset that a message stands for. */
export function firstOffsetOf(message: StoredMessage): number {
  return "from" in message ? (message as CompactMessage).from : message.offset;
}
