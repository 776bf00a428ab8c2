export type { AwsTarget } from "../aws/index.ts";
export { type AuditLog, fileAudit } from "./driver/audit.ts";
export type { RolloutClock } from "./driver/clock.ts";
export type { RolloutOptions } from "./driver/options.ts";
export type { RolloutChange } from "./driver/record.ts";
export {
  createRollout,
  describeReason,
  type Rollout,
  type RolloutReport,
  type RolloutStatus,
} from "./driver/rollout.ts";
export type { AttributeValue, Item } from "./dynamodb.ts";
export { ROLLOUT_ERROR_CODES, RolloutError, type RolloutErrorCode } from "./errors.ts";
export { type DynamoDBFlagOptions, dynamoDBFlag } from "./flags/dynamodb-flag.ts";
export { fileFlag } from "./flags/file-flag.ts";
export { createFlag, type Flag, type FlagContext, type FlagOptions } from "./flags/flag.ts";
export type { SideEvent, SideRecorder } from "./flags/side-events.ts";
export { environmentFlag, type FlagSource, type FlagTarget, memoryFlag } from "./flags/sources.ts";
export { type SplitOptions, type SplitRoutes, split } from "./flags/split.ts";
export { type SsmFlagOptions, ssmFlag } from "./flags/ssm-flag.ts";
export { type FlagStep, parseFlag, type Side, type WithPercentOptions, withPercent } from "./flags/steps.ts";
export { type CloudWatchSourceOptions, cloudWatchSource } from "./metrics/cloudwatch.ts";
export { type EmfSidesOptions, emfSides } from "./metrics/emf.ts";
export { memorySides } from "./metrics/memory.ts";
export {
  type PrometheusSides,
  type PrometheusSourceOptions,
  prometheusSides,
  prometheusSource,
} from "./metrics/prometheus.ts";
export type { MetricSource } from "./metrics/source.ts";
export { createPlan, type Plan, type PlanOptions, type Stage } from "./stages/plan.ts";
export {
  nextState,
  parseRolloutState,
  type RolloutInput,
  type RolloutState,
  type RolloutStep,
  startRollout,
} from "./stages/stages.ts";
export type { TriggerReport } from "./stages/triggers.ts";
export type { ObservedWindow, SideCounts } from "./stages/windows.ts";
export { type CompareRows, differingFields, type RowDifference } from "./stores/differences.ts";
export { type DualWriteStore, dualWriteStore } from "./stores/dual-write.ts";
export type { DualWriteOptions, DualWriteReport } from "./stores/dual-write-options.ts";
export {
  type ReconcileOptions,
  type ReconcileProgress,
  type ReconcileReport,
  reconcile,
} from "./stores/reconcile.ts";
export { type MappedConnectionStoreOptions, mappedConnectionStore } from "./tables/mapped-store.ts";
export type { MappedIndex, TableMapping } from "./tables/mapping.ts";
export { STREAMER_CONNECTIONS } from "./tables/streamer-connections.ts";
