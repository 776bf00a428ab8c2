/** Default quotas of AWS in us-east-1, from its documentation. Each can be raised, except those of one partition. */
export const QUOTAS = {
  /** https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html */
  connectsPerSecond: 500,
  connectionMinutes: 120,
  /** Messages, connects and @connections together: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html */
  requestsPerSecond: 10_000,
  /** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
  functionsAtOnce: 1_000,
  /** For a table on demand and for one partition: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html */
  tableWrites: 40_000,
  partitionReads: 3_000,
} as const;
