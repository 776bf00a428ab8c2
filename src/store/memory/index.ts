export { type MemoryConnectionStoreOptions, memoryConnectionStore } from "./connections.ts";
