import type { ChannelHistory } from "./channel-history.ts";
import type { ChannelMembers } from "./channel-members.ts";
import type { MessageChunks } from "./message-chunks.ts";

/** Everything that Streamer stores of its channels. */
export interface ChannelStore {
  /** The messages of the channels. */
  readonly history: ChannelHistory;
  /** The members of the channels. */
  readonly members: ChannelMembers;
  /** The chunks of incomplete messages. */
  readonly chunks: MessageChunks;
}
