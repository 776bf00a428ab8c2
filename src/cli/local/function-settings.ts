import { isMap, type ResolvedResource } from "../../lambda-emulator/index.ts";
import { type PropertyReader, readInteger, show, textOf } from "./properties.ts";

/** The properties of a function, checked as Lambda does. */
export interface FunctionSettings {
  readonly handler: string;
  readonly timeoutMs: number;
  readonly memoryMB: number;
  /** `ReservedConcurrentExecutions`. */
  readonly concurrency: number | undefined;
  readonly variables: { readonly [name: string]: string };
}

/** Lambda's default, in seconds. */
const DEFAULT_TIMEOUT = 3;
/** Lambda's limits: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const TIMEOUT_SECONDS = [1, 900] as const;
const MEMORY_MB = [128, 10_240] as const;
const MAX_ENVIRONMENT_BYTES = 4_096;

/** https://docs.aws.amazon.com/lambda/latest/api/API_Environment.html */
const VARIABLE_NAME = /^[a-zA-Z][a-zA-Z0-9_]+$/;
/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime */
const RESERVED_VARIABLES = new Set([
  "AWS_ACCESS_KEY",
  "AWS_ACCESS_KEY_ID",
  "AWS_DEFAULT_REGION",
  "AWS_EXECUTION_ENV",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "AWS_LAMBDA_INITIALIZATION_TYPE",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_LAMBDA_RUNTIME_API",
  "AWS_REGION",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "LAMBDA_RUNTIME_DIR",
  "LAMBDA_TASK_ROOT",
]);

/** Reads the properties of a function. @throws {TemplateError} TEMPLATE_INVALID for values that Lambda refuses */
export function readFunctionSettings(stack: PropertyReader, resource: ResolvedResource): FunctionSettings {
  const { properties, ref } = resource;
  if (!/^[\w-]{1,64}$/.test(ref)) {
    const message = `The function name ${show(ref)} must have 1 to 64 letters, digits, - and _`;
    throw stack.error("TEMPLATE_INVALID", message, resource);
  }
  const handler = properties.Handler === undefined ? "index.handler" : textOf(properties, "Handler");
  if (handler === undefined || !/^\S{1,128}$/.test(handler)) {
    const message = `\`Handler\` must be 1 to 128 characters without spaces; got ${show(properties.Handler)}`;
    throw stack.error("TEMPLATE_INVALID", message, resource);
  }
  const integer = (name: string, range: readonly [number, number]) =>
    readInteger(stack, resource, name, range);
  return {
    handler,
    timeoutMs: 1_000 * (integer("Timeout", TIMEOUT_SECONDS) ?? DEFAULT_TIMEOUT),
    memoryMB: integer("MemorySize", MEMORY_MB) ?? MEMORY_MB[0],
    concurrency: integer("ReservedConcurrentExecutions", [0, Number.POSITIVE_INFINITY]),
    variables: readVariables(stack, resource),
  };
}

function readVariables(stack: PropertyReader, resource: ResolvedResource): { [name: string]: string } {
  const { Environment: environment = {} } = resource.properties;
  const fail = (message: string) => stack.error("TEMPLATE_INVALID", message, resource);
  if (!isMap(environment)) throw fail("`Environment` must be a map");
  const { Variables: variables = {} } = environment;
  if (!isMap(variables)) throw fail("`Environment.Variables` must be a map");
  for (const [name, value] of Object.entries(variables)) {
    if (!VARIABLE_NAME.test(name)) {
      const expected = "two or more letters, digits and _, the first a letter";
      throw fail(`The name of the variable ${show(name)} must have ${expected}`);
    }
    if (RESERVED_VARIABLES.has(name)) throw fail(`The variable \`${name}\` is reserved by Lambda`);
    if (typeof value === "object") {
      throw fail(
        `The variable \`${name}\` must be a text; got a ${Array.isArray(value) ? "list" : "map"}. Use Fn::ToJsonString or Fn::Join`,
      );
    }
    // An environment of a process ends each value with it.
    if (String(value).includes("\0")) throw fail(`The variable \`${name}\` has a NUL character`);
  }
  const texts = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
  // Lambda measures them as JSON.
  const bytes = Buffer.byteLength(JSON.stringify(texts));
  if (bytes > MAX_ENVIRONMENT_BYTES) {
    throw fail(`The variables have ${bytes} bytes as JSON; Lambda's limit is ${MAX_ENVIRONMENT_BYTES}`);
  }
  return texts;
}
