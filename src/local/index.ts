export { type LocalDynamoDB, startDynamoDB } from "./dynamodb.ts";
export { FunctionError, LocalError, type LocalErrorCode } from "./errors.ts";
export { LambdaFunction, type LambdaFunctionOptions } from "./lambda-function.ts";
