export { type DynamoDBLocal, startDynamoDBLocal } from "./dynamodb-local.ts";
export { FunctionError, LambdaEmulatorError, type LambdaEmulatorErrorCode } from "./errors.ts";
export { LambdaFunction, type LambdaFunctionOptions } from "./functions/lambda-function.ts";
export { type ApiHosts, redirectApiHosts } from "./functions/own-hosts.ts";
export type { DiscardedRecords } from "./table-stream/delivery.ts";
export type { FilterPattern, FilterRule } from "./table-stream/filter.ts";
export { pollTableStream, type TableStreamOptions, type TableStreamPoller } from "./table-stream/poller.ts";
export type { TableStreamEvent, TableStreamRecord } from "./table-stream/record.ts";
