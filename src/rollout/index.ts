export type { AwsTarget } from "../aws/index.ts";
export type { AttributeValue, Item } from "./dynamodb.ts";
export { ROLLOUT_ERROR_CODES, RolloutError, type RolloutErrorCode } from "./errors.ts";
export { type CompareRows, differingFields, type RowDifference } from "./stores/differences.ts";
export {
  type DualWriteOptions,
  type DualWriteReport,
  type DualWriteStore,
  dualWriteStore,
} from "./stores/dual-write.ts";
export {
  type ReconcileOptions,
  type ReconcileProgress,
  type ReconcileReport,
  reconcile,
} from "./stores/reconcile.ts";
export { type MappedConnectionStoreOptions, mappedConnectionStore } from "./tables/mapped-store.ts";
export type { MappedIndex, TableMapping } from "./tables/mapping.ts";
export { STREAMER_CONNECTIONS } from "./tables/streamer-connections.ts";
