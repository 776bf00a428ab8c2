export type { CallMeasure } from "./caller.ts";
export { type CreateTablesOptions, createTableInput, createTables } from "./create-tables.ts";
export type { DynamoDBConnectionStoreOptions, StoreOptions } from "./options.ts";
export { dynamoDBConnectionStore } from "./sdk.ts";
export {
  ATTRIBUTES,
  CONNECTION_TABLE,
  type IndexDefinition,
  RATE_LIMIT_TABLE,
  type TableDefinition,
  TENANT_INDEX,
  USER_INDEX,
} from "./tables.ts";
export type { Operation } from "./transport.ts";
