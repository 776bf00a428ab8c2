/**
 * The one definition of the tables' names: the stores read and write by it, `createTables` and an
 * infrastructure stack make the tables from it.
 */

/** What the attributes of a connection's row are called. */
export const CONNECTION_ATTRIBUTES = {
  id: "ConnectionID",
  userId: "UserID",
  tenantId: "TenantID",
  /** The whole ids, where they are longer than an index takes and `userId` and `tenantId` have their hashes. */
  longUserId: "LongUserID",
  longTenantId: "LongTenantID",
  metadata: "Metadata",
  state: "State",
  /** Which updates wrote a key of the state last: see state.ts. */
  updates: "Updates",
  sourceIp: "SourceIP",
  userAgent: "UserAgent",
  endpoint: "Endpoint",
  /** ms since the epoch. */
  connectedAt: "ConnectedAt",
  /** ms since the epoch: past it the item is dead, removed or not. */
  liveUntil: "LiveUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
  /** On what is no connection: a tombstone, or a shard of the count. */
  kind: "Kind",
  /** On a tombstone: the row, where it is kept for a `$disconnect` that is still to come. */
  removed: "Removed",
  /** Where the row is counted, if it is. */
  countShard: "CountShard",
} as const;

/** A secondary index of a table. */
export interface IndexDefinition {
  /** The name of the index. */
  readonly name: string;
  /** The attribute of the partition key. */
  readonly partitionKey: string;
  /** The attribute of the sort key. */
  readonly sortKey: string;
}

/** A DynamoDB table: keys, indexes and TTL. */
export interface TableDefinition {
  /** Keys are strings, all of them. */
  readonly partitionKey: string;
  /** The attribute of the sort key. Absent if the table has none. */
  readonly sortKey?: string;
  /** The secondary indexes. */
  readonly indexes: readonly IndexDefinition[];
  /** What every index holds besides its keys. */
  readonly projection: "KEYS_ONLY" | "ALL";
  /** The attribute with the time, in seconds, after which DynamoDB deletes an item. */
  readonly timeToLive: string;
  /** What the table's stream tells of a change; absent: it has none. */
  readonly tableStream?: "NEW_IMAGE";
}

/** The index of `CONNECTION_TABLE` by tenant. */
export const TENANT_INDEX: IndexDefinition = {
  name: "TenantIndex",
  partitionKey: CONNECTION_ATTRIBUTES.tenantId,
  sortKey: CONNECTION_ATTRIBUTES.id,
};

/** The index of `CONNECTION_TABLE` by user. */
export const USER_INDEX: IndexDefinition = {
  name: "UserIndex",
  partitionKey: CONNECTION_ATTRIBUTES.userId,
  sortKey: CONNECTION_ATTRIBUTES.id,
};

/** The table of `dynamoDBConnectionStore`. */
export const CONNECTION_TABLE: TableDefinition = {
  partitionKey: CONNECTION_ATTRIBUTES.id,
  indexes: [TENANT_INDEX, USER_INDEX],
  // So a write to a row's state is no write to its indexes.
  projection: "KEYS_ONLY",
  timeToLive: CONNECTION_ATTRIBUTES.expiresAt,
};

/** What the attributes of a ticket are called. */
export const TICKET_ATTRIBUTES = {
  hash: "TicketHash",
  content: "Content",
  /** ms since the epoch: from then on the ticket is no good. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove it. */
  expiresAt: "ExpiresAt",
} as const;

/** The table of `dynamoDBTicketStore`. */
export const TICKET_TABLE: TableDefinition = {
  partitionKey: TICKET_ATTRIBUTES.hash,
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: TICKET_ATTRIBUTES.expiresAt,
};

/** What `dynamoDBRateLimiter` counts in: the names are those of `rate-limiter-flexible`. */
export const RATE_LIMIT_TABLE: TableDefinition = {
  partitionKey: "key",
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: "expire",
};
/** What the attributes of a scheduled item are called. */
export const SCHEDULE_ATTRIBUTES = {
  /** Its kind and its id, as a list in JSON. */
  key: "ItemKey",
  /** The whole key, where it is longer than a table takes and `key` has its hash. */
  longKey: "LongKey",
  shard: "Shard",
  /** ms since the epoch, with leading zeros: as text in order of time. */
  dueAt: "DueAt",
  data: "Data",
  /** How often its action has failed, and the last error in a line. */
  failures: "Failures",
  cause: "Cause",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
} as const;

/** The index of `SCHEDULE_TABLE` by the time at which items are due. */
export const DUE_INDEX: IndexDefinition = {
  name: "DueIndex",
  partitionKey: SCHEDULE_ATTRIBUTES.shard,
  sortKey: SCHEDULE_ATTRIBUTES.dueAt,
};

/** The table of `dynamoDBSchedule`. */
export const SCHEDULE_TABLE: TableDefinition = {
  partitionKey: SCHEDULE_ATTRIBUTES.key,
  indexes: [DUE_INDEX],
  // Items are read by the index alone: a read for each would cost more than the copies.
  projection: "ALL",
  timeToLive: SCHEDULE_ATTRIBUTES.expiresAt,
};

/** What the attributes of what was published are called. */
export const MESSAGE_ATTRIBUTES = {
  channel: "Channel",
  /** What it is of its channel: see messages.ts. */
  item: "Item",
  epoch: "Epoch",
  offset: "Offset",
  /** JSON. */
  message: "Message",
  /** ms since the epoch: when the message was published, and when the one before it; never one before the other. */
  at: "PublishedAt",
  previousAt: "PreviousAt",
  /** Not everybody has been sent it yet. */
  pending: "Pending",
  /** Where its fan-out is. */
  cursor: "Cursor",
  /** ms since the epoch: from then on the key is free again. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. A head has none. */
  expiresAt: "ExpiresAt",
} as const;

/** The table of messages of `dynamoDBChannelStore`, with a stream. */
export const MESSAGE_TABLE: TableDefinition = {
  partitionKey: MESSAGE_ATTRIBUTES.channel,
  sortKey: MESSAGE_ATTRIBUTES.item,
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: MESSAGE_ATTRIBUTES.expiresAt,
  tableStream: "NEW_IMAGE",
};

/** How Lambda is to feed the function that fans out what was left, by the stream of the messages' table. */
export const MESSAGE_TABLE_STREAM_SOURCE = {
  startingPosition: "TRIM_HORIZON",
  batchSize: 100,
  batchWindowSeconds: 2,
  /** A message may be gone by then. */
  maxRecordAgeSeconds: 3_600,
  bisectOnError: true,
  reportBatchItemFailures: true,
  /** Messages when they are stored: not their checkpoints, nor heads and keys. */
  filter: {
    dynamodb: {
      NewImage: {
        [MESSAGE_ATTRIBUTES.pending]: { BOOL: [true] },
        [MESSAGE_ATTRIBUTES.cursor]: { S: [{ exists: false }] },
      },
    },
  },
} as const;

/** What the attributes of who is in a channel are called. */
export const MEMBER_ATTRIBUTES = {
  /** A shard of a channel, a connection, or its parts: see member-items.ts and message-parts.ts. */
  group: "Group",
  item: "Item",
  channel: "Channel",
  /** JSON. */
  member: "Member",
  userId: "UserID",
  /** In a subscription: the `add` that has written it last, and whether a `remove` came before that was done. */
  joinId: "JoinID",
  leaving: "Leaving",
  /** In a user's item: each connection's end, in ms since the epoch; the fraction is the `add` that has written it. */
  connections: "Connections",
  since: "Since",
  /** JSON. */
  state: "State",
  /** Which writes the item has seen last: see presence.ts. */
  updates: "Updates",
  /** Of a message that comes in parts: its number, how many parts, which have come, and by which write the last did. */
  message: "Message",
  count: "Count",
  arrived: "Arrived",
  lastBy: "LastBy",
  /** It is put together no more. */
  closed: "Closed",
  /** Of a part. */
  text: "Text",
  /** ms since the epoch: past it the item is dead, removed or not. Of a member the fraction is its `add`. */
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
