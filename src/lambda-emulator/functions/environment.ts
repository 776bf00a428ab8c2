import { randomBytes } from "node:crypto";

/** A function, as its environment describes it. */
export interface FunctionDescription {
  readonly name: string;
  /** The folder of its code. */
  readonly directory: string;
  /** `index.handler` */
  readonly handler: string;
  readonly region: string;
  readonly memoryMB: number;
}

/**
 * Creates the environment of Lambda's Node 24 runtime, without this process's own variables. The function's variables
 * win, except for those that Lambda reserves: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
 */
export function createEnvironment(
  description: FunctionDescription,
  variables: { readonly [name: string]: string },
  runtimeApi: string,
): Record<string, string> {
  const { name, directory, handler, region, memoryMB } = description;
  return {
    LANG: "en_US.UTF-8",
    PATH: "/usr/local/bin:/usr/bin:/bin",
    TZ: ":UTC",
    ...variables,
    _HANDLER: handler,
    AWS_DEFAULT_REGION: region,
    AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMB),
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: createLogStreamName(),
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
    AWS_REGION: region,
    LAMBDA_TASK_ROOT: directory,
  };
}

/** Creates the name of a process's log stream: `2026/01/31/[$LATEST]0f3c…`. */
function createLogStreamName(): string {
  const day = new Date().toISOString().slice(0, 10).replaceAll("-", "/");
  return `${day}/[$LATEST]${randomBytes(16).toString("hex")}`;
}
