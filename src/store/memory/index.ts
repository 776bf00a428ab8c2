export { type MemoryChannelStoreOptions, memoryChannelStore } from "./channels.ts";
export { type MemoryConnectionStoreOptions, memoryConnectionStore } from "./connections.ts";
export { memorySchedule } from "./schedule.ts";
export { type MemoryTicketStoreOptions, memoryTicketStore } from "./tickets.ts";
