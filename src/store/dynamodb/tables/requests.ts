import type { IndexDefinition, TableDefinition } from "./definition.ts";

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
