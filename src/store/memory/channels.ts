import type { ChannelStore } from "../channels.ts";
import { MemoryHistory } from "./channel-history.ts";
import { MemoryMembers } from "./channel-members.ts";

export interface MemoryChannelStoreOptions {
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Channels in this process's memory: for one process and as long as it lives. Another life has other epochs. What is
 * past the bounds goes with the appends that come; no timer is left.
 */
export function memoryChannelStore(options: MemoryChannelStoreOptions = {}): ChannelStore {
  return { history: new MemoryHistory(), members: new MemoryMembers(options.now ?? Date.now) };
}
