import type { TableDefinition } from "./definition.ts";

/** The table of `dynamoDBRateLimiter`, with the attribute names of `rate-limiter-flexible`. */
export const RATE_LIMIT_TABLE: TableDefinition = {
  partitionKey: "key",
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: "expire",
};
