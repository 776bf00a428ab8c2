export { startDynamoDBLocal } from "./dynamodb-local.ts";
export { LambdaEmulatorError, TemplateError } from "./errors.ts";
export { type ApiHosts, redirectApiHosts } from "./functions/api-hosts.ts";
export type { FailedInvocation } from "./functions/async-invocations.ts";
export { LambdaFunction } from "./functions/lambda-function.ts";
export { type LambdaApi, serveLambdaApi } from "./lambda-api.ts";
export type { PolicyContext } from "./policy/condition.ts";
export { type DynamoDBAccess, type DynamoDBTables, readDynamoDBAccess } from "./policy/dynamodb-request.ts";
export {
  type AccessDecision,
  type AccessRequest,
  isAllowed,
  type Policy,
  parsePolicy,
} from "./policy/policy.ts";
export { readRolePolicies } from "./policy/role-policies.ts";
export { pollTableStream, type TableStreamOptions, type TableStreamPoller } from "./table-stream/poller.ts";
export type { TableStreamEvent, TableStreamRecord } from "./table-stream/record.ts";
export {
  type AttributesOf,
  localAttributes,
  type ResourceAttributes,
} from "./template/attributes.ts";
export { type FunctionCode, findFunctionCode } from "./template/function-code.ts";
export type { Stack } from "./template/parameters.ts";
export type { Value, ValueList, ValueMap } from "./template/parse-text.ts";
export { isMap, readTemplate, type Template } from "./template/read-template.ts";
export {
  type ResolvedOutput,
  type ResolvedResource,
  type ResolvedTemplate,
  type ResolveOptions,
  resolveTemplate,
} from "./template/resolve-template.ts";
