import type { IndexDefinition, TableDefinition } from "./definition.ts";

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
