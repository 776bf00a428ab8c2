import type { ChannelHistory } from "./channel-history.ts";
import type { ChannelMembers } from "./channel-members.ts";
import type { MessageChunks } from "./message-chunks.ts";

/** Everything that Streamer stores of its channels. */
export interface ChannelStore {
  readonly history: ChannelHistory;
  readonly members: ChannelMembers;
  readonly chunks: MessageChunks;
}
