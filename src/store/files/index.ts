export { type FileBlobStore, fileBlobStore } from "./files.ts";
export type { FileBlobStoreOptions } from "./options.ts";
