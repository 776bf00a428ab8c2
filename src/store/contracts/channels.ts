import type { ChannelHistory } from "./channel-history.ts";
import type { ChannelMembers } from "./channel-members.ts";
import type { MessageChunks } from "./message-chunks.ts";
import type { RequestStore } from "./requests.ts";

/** Everything that Streamer stores: its channels and its long requests. */
export interface ChannelStore {
  /** The messages of the channels. */
  readonly history: ChannelHistory;
  /** The members of the channels. */
  readonly members: ChannelMembers;
  /** The chunks of incomplete messages. */
  readonly chunks: MessageChunks;
  /** Long requests. Absent: the store has none, and requests are answered in place. */
  readonly requests?: RequestStore;
}
