import type { IndexDefinition, TableDefinition } from "./definition.ts";

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
