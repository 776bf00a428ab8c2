import type { ChannelStore } from "../contracts/channels.ts";
import { MemoryHistory } from "./channel-history.ts";
import { MemoryMembers } from "./channel-members.ts";
import { MemoryMessageChunks } from "./message-chunks.ts";
import { MemoryRequests } from "./requests.ts";

/** Options of `memoryChannelStore`. */
export interface MemoryChannelStoreOptions {
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Creates a channel store in this process's memory. A restarted process has other epochs. It needs no timer:
 * an append removes expired messages and idle channels, a new chunk removes expired chunks, and a new request removes
 * expired requests.
 * @example
 * const streamer = createStreamer({ channels, store: memoryChannelStore() });
 */
export function memoryChannelStore(options: MemoryChannelStoreOptions = {}): ChannelStore {
  const { now = Date.now } = options;
  // `history` is read only when the function is called.
  const members = new MemoryMembers(now, (channel) => history.touch(channel));
  const history = new MemoryHistory(now, (channel) => members.has(channel));
  return { history, members, chunks: new MemoryMessageChunks(), requests: new MemoryRequests(now) };
}
