import type { TableDefinition } from "./definition.ts";

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
