export { startDynamoDBLocal } from "./dynamodb-local.ts";
export { LambdaEmulatorError } from "./errors.ts";
export { type ApiHosts, redirectApiHosts } from "./functions/api-hosts.ts";
export type { FailedInvocation } from "./functions/async-invocations.ts";
export { LambdaFunction } from "./functions/lambda-function.ts";
export { type LambdaApi, serveLambdaApi } from "./lambda-api.ts";
export { pollTableStream, type TableStreamOptions, type TableStreamPoller } from "./table-stream/poller.ts";
export type { TableStreamEvent, TableStreamRecord } from "./table-stream/record.ts";
