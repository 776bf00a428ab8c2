export type { S3BlobStoreOptions } from "./options.ts";
export { s3BlobStore } from "./s3.ts";
