export { type FileBlobStore, type FileBlobStoreOptions, fileBlobStore } from "./files.ts";
