export { type LocalDynamoDB, startDynamoDB } from "./dynamodb.ts";
export { FunctionError, LocalError, type LocalErrorCode } from "./errors.ts";
export { LambdaFunction, type LambdaFunctionOptions } from "./lambda-function.ts";
export { type OwnHosts, redirectOwnHosts } from "./own-hosts.ts";
export type { DiscardedRecords } from "./stream-delivery.ts";
export type { FilterPattern, FilterRule } from "./stream-filter.ts";
export { pollTableStream, type StreamPoller, type TableStreamOptions } from "./stream-poller.ts";
export type { StreamEvent, StreamRecord } from "./stream-record.ts";
