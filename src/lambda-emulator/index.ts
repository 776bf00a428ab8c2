export { type LocalDynamoDB, startDynamoDB } from "./dynamodb-local.ts";
export { FunctionError, LocalError, type LocalErrorCode } from "./errors.ts";
export { LambdaFunction, type LambdaFunctionOptions } from "./functions/lambda-function.ts";
export { type OwnHosts, redirectOwnHosts } from "./functions/own-hosts.ts";
export type { DiscardedRecords } from "./table-stream/delivery.ts";
export type { FilterPattern, FilterRule } from "./table-stream/filter.ts";
export { pollTableStream, type StreamPoller, type TableStreamOptions } from "./table-stream/poller.ts";
export type { StreamEvent, StreamRecord } from "./table-stream/record.ts";
