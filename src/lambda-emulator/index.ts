export { startDynamoDBLocal } from "./dynamodb-local.ts";
export { LambdaEmulatorError, TemplateError, type TemplateErrorCode } from "./errors.ts";
export { type ApiHosts, redirectApiHosts } from "./functions/api-hosts.ts";
export type { FailedInvocation } from "./functions/async-invocations.ts";
export { type InvocationOutcome, LambdaFunction } from "./functions/lambda-function.ts";
export { type LambdaApi, serveLambdaApi } from "./lambda-api.ts";
export { type DynamoDBTables, readDynamoDBAccess } from "./policy/dynamodb-request.ts";
export {
  type AccessRequest,
  isAllowed,
  type Policy,
} from "./policy/policy.ts";
export { readRolePolicies } from "./policy/role-policies.ts";
export { matchesWildcards } from "./policy/wildcards.ts";
export { createFilter, type FilterPattern } from "./table-stream/filter.ts";
export { pollTableStream, type TableStreamOptions, type TableStreamPoller } from "./table-stream/poller.ts";
export type { TableStreamEvent, TableStreamRecord } from "./table-stream/record.ts";
export { type FunctionCode, findFunctionCode } from "./template/function-code.ts";
export { isMap, parseText, type Value, type ValueMap } from "./template/parse-text.ts";
export { readTemplate } from "./template/read-template.ts";
export {
  isUnknown,
  type ResolvedResource,
  type ResolvedTemplate,
  resolveTemplate,
} from "./template/resolve-template.ts";
export { unzip } from "./template/unzip.ts";
