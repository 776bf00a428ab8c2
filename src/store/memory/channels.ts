import type { ChannelStore } from "../contracts/channels.ts";
import { MemoryHistory } from "./channel-history.ts";
import { MemoryMembers } from "./channel-members.ts";
import { MemoryMessageChunks } from "./message-chunks.ts";

export interface MemoryChannelStoreOptions {
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Channels in this process's memory: for one process and as long as it lives. Another life has other epochs. What is
 * past the bounds goes with the appends that come, and so do channels that are idle past their history's age; no timer
 * is left.
 */
export function memoryChannelStore(options: MemoryChannelStoreOptions = {}): ChannelStore {
  const { now = Date.now } = options;
  const members = new MemoryMembers(now, (channel) => history.touch(channel));
  const history = new MemoryHistory(now, (channel) => members.has(channel));
  return { history, members, chunks: new MemoryMessageChunks() };
}
