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
