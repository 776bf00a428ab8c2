export { type SqliteChannelStore, sqliteChannelStore } from "./channels.ts";
export type { SqliteChannelStoreOptions } from "./options.ts";
