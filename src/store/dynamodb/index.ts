export type { DynamoDBChannelHistory } from "./channels/history.ts";
export type { CallMetrics } from "./client/metrics.ts";
export type { Operation } from "./client/transport.ts";
export { type CreateTablesOptions, createTableInput, createTables } from "./create-tables.ts";
export type {
  CallOptions,
  ChannelOptions,
  DynamoDBChannelStoreOptions,
  DynamoDBConnectionStoreOptions,
  DynamoDBOptions,
  StoreOptions,
  TableOptions,
} from "./options.ts";
export type { DynamoDBRequestStore } from "./requests/request-store.ts";
export {
  type DynamoDBChannelStore,
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  dynamoDBSchedule,
  dynamoDBStores,
  dynamoDBTicketStore,
} from "./sdk.ts";
export type { DynamoDBStores } from "./stores.ts";
export {
  CONNECTION_ATTRIBUTES,
  CONNECTION_TABLE,
  DUE_INDEX,
  type IndexDefinition,
  MEMBER_ATTRIBUTES,
  MEMBER_TABLE,
  MESSAGE_ATTRIBUTES,
  MESSAGE_TABLE,
  MESSAGE_TABLE_STREAM_SOURCE,
  OPEN_INDEX,
  OWNER_INDEX,
  RATE_LIMIT_TABLE,
  REQUEST_ATTRIBUTES,
  REQUEST_TABLE,
  REQUEST_TABLE_STREAM_SOURCE,
  SCHEDULE_ATTRIBUTES,
  SCHEDULE_TABLE,
  type TableDefinition,
  TENANT_INDEX,
  TICKET_ATTRIBUTES,
  TICKET_TABLE,
  USER_INDEX,
} from "./tables.ts";
