export type { CallMeasure } from "./caller.ts";
export { type CreateTablesOptions, createTableInput, createTables } from "./create-tables.ts";
export type {
  DynamoDBConnectionStoreOptions,
  DynamoDBOptions,
  StoreOptions,
  TableOptions,
} from "./options.ts";
export { dynamoDBConnectionStore, dynamoDBSchedule, dynamoDBTicketStore } from "./sdk.ts";
export {
  ATTRIBUTES,
  CONNECTION_TABLE,
  DUE_INDEX,
  type IndexDefinition,
  RATE_LIMIT_TABLE,
  SCHEDULE_ATTRIBUTES,
  SCHEDULE_TABLE,
  type TableDefinition,
  TENANT_INDEX,
  TICKET_ATTRIBUTES,
  TICKET_TABLE,
  USER_INDEX,
} from "./tables.ts";
export type { Operation } from "./transport.ts";
