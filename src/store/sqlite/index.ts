export { type SqliteChannelStore, type SqliteChannelStoreOptions, sqliteChannelStore } from "./channels.ts";
