export { type MemoryConnectionStoreOptions, memoryConnectionStore } from "./connections.ts";
export { memorySchedule } from "./schedule.ts";
