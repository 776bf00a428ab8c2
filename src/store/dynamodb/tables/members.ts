import type { TableDefinition } from "./definition.ts";

/** Attribute names of the table of members. */
export const MEMBER_ATTRIBUTES = {
  /** A shard of a channel, a connection, or its message chunks: see member-items.ts and message-chunks.ts. */
  group: "Group",
  item: "Item",
  channel: "Channel",
  /** JSON. */
  member: "Member",
  userId: "UserID",
  /** In a subscription: the id of the `add` that wrote it last, and the time at which a `remove` found it unfinished. */
  joinId: "JoinID",
  leaving: "Leaving",
  /** In a user's item: each connection's expiry in ms since the epoch, with the id of its `add` as the fraction. */
  connections: "Connections",
  since: "Since",
  /** JSON. */
  state: "State",
  /** Ids of the latest writes: see presence.ts. */
  updates: "Updates",
  /** In a chunked message's head: message number, number of chunks, arrived indexes, and the id of the latest write. */
  message: "Message",
  count: "Count",
  arrived: "Arrived",
  lastBy: "LastBy",
  /** Present once the message is aborted. */
  closed: "Closed",
  /** The text of a chunk. */
  text: "Text",
  /** ms since the epoch. The item expires then, even if not yet removed. A member's fraction is the id of its `add`. */
  liveUntil: "LiveUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
} as const;

/** The table of members of `dynamoDBChannelStore`. */
export const MEMBER_TABLE: TableDefinition = {
  partitionKey: MEMBER_ATTRIBUTES.group,
  sortKey: MEMBER_ATTRIBUTES.item,
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: MEMBER_ATTRIBUTES.expiresAt,
};
