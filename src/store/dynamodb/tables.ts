/**
 * Definitions of the tables: names, keys and indexes. The stores read and write by them; `createTables` and
 * infrastructure stacks create tables from them. Each table has a file of its own, because a bundler keeps a constant that
 * reads another one's properties, used or not, unless nothing of its file is used.
 */
export { CONNECTION_ATTRIBUTES, CONNECTION_TABLE, TENANT_INDEX, USER_INDEX } from "./tables/connections.ts";
export type { IndexDefinition, TableDefinition } from "./tables/definition.ts";
export { MEMBER_ATTRIBUTES, MEMBER_TABLE } from "./tables/members.ts";
export { MESSAGE_ATTRIBUTES, MESSAGE_TABLE, MESSAGE_TABLE_STREAM_SOURCE } from "./tables/messages.ts";
export { RATE_LIMIT_TABLE } from "./tables/rate-limit.ts";
export {
  OPEN_INDEX,
  OWNER_INDEX,
  REQUEST_ATTRIBUTES,
  REQUEST_TABLE,
  REQUEST_TABLE_STREAM_SOURCE,
} from "./tables/requests.ts";
export { DUE_INDEX, SCHEDULE_ATTRIBUTES, SCHEDULE_TABLE } from "./tables/schedule.ts";
export { TICKET_ATTRIBUTES, TICKET_TABLE } from "./tables/tickets.ts";
