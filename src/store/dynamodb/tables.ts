/**
 * Definitions of the tables: names, keys and indexes. The stores read and write by them; `createTables` and
 * infrastructure stacks create tables from them.
 */

/** Attribute names of a connection's row. */
export const CONNECTION_ATTRIBUTES = {
  id: "ConnectionID",
  userId: "UserID",
  tenantId: "TenantID",
  /** The full ids, if an index's key limit requires hashes in `userId` and `tenantId`. */
  longUserId: "LongUserID",
  longTenantId: "LongTenantID",
  metadata: "Metadata",
  state: "State",
  /** Ids of the latest updates of each state key: see state.ts. */
  updates: "Updates",
  sourceIp: "SourceIP",
  userAgent: "UserAgent",
  endpoint: "Endpoint",
  /** ms since the epoch. */
  connectedAt: "ConnectedAt",
  /** ms since the epoch. The item expires then, even if not yet removed. */
  liveUntil: "LiveUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
  /** `tombstone` or `shard` (of the count); absent on connections. */
  kind: "Kind",
  /** On a tombstone: the deleted row, if it is kept for a later `$disconnect`. */
  removed: "Removed",
  /** The count's shard that includes the row, if it is counted. */
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
  /** The attribute of the partition key. All keys are strings. */
  readonly partitionKey: string;
  /** The attribute of the sort key. Absent if the table has none. */
  readonly sortKey?: string;
  /** The secondary indexes. */
  readonly indexes: readonly IndexDefinition[];
  /** Attributes that the indexes copy: keys only, or all. */
  readonly projection: "KEYS_ONLY" | "ALL";
  /** The attribute with the time, in seconds, after which DynamoDB deletes an item. */
  readonly timeToLive: string;
  /** View type of the table's stream. Absent if the table has no stream. */
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
  // Writes to a row's state then do not write to the indexes.
  projection: "KEYS_ONLY",
  timeToLive: CONNECTION_ATTRIBUTES.expiresAt,
};

/** Attribute names of a ticket. */
export const TICKET_ATTRIBUTES = {
  hash: "TicketHash",
  content: "Content",
  /** ms since the epoch: when the ticket expires. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
} as const;

/** The table of `dynamoDBTicketStore`. */
export const TICKET_TABLE: TableDefinition = {
  partitionKey: TICKET_ATTRIBUTES.hash,
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: TICKET_ATTRIBUTES.expiresAt,
};

/** The table of `dynamoDBRateLimiter`, with the attribute names of `rate-limiter-flexible`. */
export const RATE_LIMIT_TABLE: TableDefinition = {
  partitionKey: "key",
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: "expire",
};

/** Attribute names of a scheduled item. */
export const SCHEDULE_ATTRIBUTES = {
  /** Kind and id, as a JSON list. */
  key: "ItemKey",
  /** The full key, if DynamoDB's key limit requires a hash in `key`. */
  longKey: "LongKey",
  shard: "Shard",
  /** ms since the epoch, with leading zeros, so that text sorts by time. */
  dueAt: "DueAt",
  data: "Data",
  /** Number of failed attempts, and the last error in one line. */
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
  // Due items are read from the index alone: reading each from the table would cost more than the copies.
  projection: "ALL",
  timeToLive: SCHEDULE_ATTRIBUTES.expiresAt,
};

/** Attribute names of the table of messages. */
export const MESSAGE_ATTRIBUTES = {
  channel: "Channel",
  /** The kind of item within its channel, such as head or message: see messages.ts. */
  item: "Item",
  epoch: "Epoch",
  offset: "Offset",
  /** JSON. */
  message: "Message",
  /** Publish dates of this message and of the previous one, in ms since the epoch. They never decrease. */
  at: "PublishedAt",
  previousAt: "PreviousAt",
  /** Present while the fan-out is pending. */
  pending: "Pending",
  /** The fan-out's cursor in the channel's members. */
  cursor: "Cursor",
  /** ms since the epoch: when the idempotency key expires. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. A channel's head has none. */
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

/** Event source settings for the Lambda function that recovers fan-outs from the messages' table stream. */
export const MESSAGE_TABLE_STREAM_SOURCE = {
  startingPosition: "TRIM_HORIZON",
  batchSize: 100,
  batchWindowSeconds: 2,
  /** Messages may be removed after an hour. */
  maxRecordAgeSeconds: 3_600,
  bisectOnError: true,
  reportBatchItemFailures: true,
  /** Only new messages: no checkpoints, heads or idempotency keys. */
  filter: {
    dynamodb: {
      NewImage: {
        [MESSAGE_ATTRIBUTES.pending]: { BOOL: [true] },
        [MESSAGE_ATTRIBUTES.cursor]: { S: [{ exists: false }] },
      },
    },
  },
} as const;

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

/** Attribute names of the table of requests. */
export const REQUEST_ATTRIBUTES = {
  /** Owner and id of a request: see keys.ts. */
  request: "Request",
  /** The kind of item: the state, or a part of its own (input, checkpoint, result, output). */
  item: "Item",
  /** JSON: the fields that never change. */
  content: "Content",
  owner: "Owner",
  /** ms since the epoch in base 36, with leading zeros, so that text sorts by time. */
  createdAt: "CreatedAt",
  /** A hash of the action and the input. */
  inputHash: "InputHash",
  state: "State",
  attempt: "Attempt",
  /** ms since the epoch. */
  dueAt: "DueAt",
  updatedAt: "UpdatedAt",
  leaseUntil: "LeaseUntil",
  /** The token of the last claim. On an item of output: of the claim that wrote it. */
  token: "Token",
  /** JSON. */
  progress: "Progress",
  failure: "Failure",
  /** JSON, unless it has an item of its own. */
  input: "Input",
  checkpoint: "Checkpoint",
  result: "Result",
  /** The sort key of the checkpoint's own item. */
  checkpointItem: "CheckpointItem",
  /** Present from the first item of output on; its last offset once the worker has ended it. */
  output: "Output",
  /** JSON: the content of a part with an item of its own. */
  data: "Data",
  /** The partition and the order in `OPEN_INDEX`, while the request is not final, or FAILED. */
  openShard: "OpenShard",
  openOrder: "OpenOrder",
  /** ms since the epoch: when a final request expires. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
} as const;

/** The index of `REQUEST_TABLE` by owner and time. */
export const OWNER_INDEX: IndexDefinition = {
  name: "OwnerIndex",
  partitionKey: REQUEST_ATTRIBUTES.owner,
  sortKey: REQUEST_ATTRIBUTES.createdAt,
};

/** The index of `REQUEST_TABLE` with the requests that are not final, and the dead letters. */
export const OPEN_INDEX: IndexDefinition = {
  name: "OpenIndex",
  partitionKey: REQUEST_ATTRIBUTES.openShard,
  sortKey: REQUEST_ATTRIBUTES.openOrder,
};

/** The table of requests of `dynamoDBChannelStore`, with a stream. */
export const REQUEST_TABLE: TableDefinition = {
  partitionKey: REQUEST_ATTRIBUTES.request,
  sortKey: REQUEST_ATTRIBUTES.item,
  indexes: [OWNER_INDEX, OPEN_INDEX],
  // A heartbeat then does not write to the indexes.
  projection: "KEYS_ONLY",
  timeToLive: REQUEST_ATTRIBUTES.expiresAt,
  tableStream: "NEW_IMAGE",
};

/** Event source settings for the Lambda function that starts requests from their table's stream. */
export const REQUEST_TABLE_STREAM_SOURCE = {
  startingPosition: "TRIM_HORIZON",
  batchSize: 100,
  batchWindowSeconds: 0,
  /** Older ones are started by the tick. */
  maxRecordAgeSeconds: 3_600,
  bisectOnError: true,
  reportBatchItemFailures: true,
  /** Only requests that wait for a worker: no heartbeats, output or results. */
  filter: { dynamodb: { NewImage: { [REQUEST_ATTRIBUTES.state]: { S: ["PENDING"] } } } },
} as const;
