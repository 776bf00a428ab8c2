import {
  AwsConfigurationError,
  type AwsCredentials,
  type AwsCredentialsProvider,
  AwsEndpoint,
  Payload,
  Retry,
} from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { either, findOptionFault, type OptionChecks, text } from "../../internal/options.ts";
import { LiftError } from "../errors.ts";

/** Options of `lambdaInvoker`. `functionName` is required. */
export interface LambdaInvokerOptions {
  /** Name, or ARN, of the function. */
  readonly functionName: string;
  /** AWS region. Default: `AWS_REGION`. */
  readonly region?: string;
  /** Endpoint URL of the Lambda API. Default: `AWS_ENDPOINT_URL_LAMBDA`, or the region's endpoint. */
  readonly endpoint?: string;
  /** Credentials, or a function that returns them. Default: those in Lambda's environment variables. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider;
}

const TIMEOUT_MS = 10_000;
/** Concurrent requests; others wait for a free socket. */
const MAX_SOCKETS = 16;

const CHECKS: OptionChecks<LambdaInvokerOptions> = {
  functionName: text,
  region: text,
  endpoint: { test: (value) => typeof value === "string" && URL.canParse(value), expected: "a URL" },
  credentials: either(
    { test: (value) => typeof value === "function", expected: "a function" },
    { test: (value) => typeof value === "object" && value !== null, expected: "credentials" },
  ),
};

/**
 * Creates a function that invokes a Lambda function asynchronously: it resolves when Lambda has accepted the event. Lambda
 * then runs the function, and twice more if it fails.
 * @returns a function that rejects with AWS's error; throttled and unanswered calls are retried for 10 seconds
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const invoke = lambdaInvoker({ functionName: "worker" });
 * export const handler = streamer.dispatchHandler({ invoke });
 */
export function lambdaInvoker(options: LambdaInvokerOptions): (event: object) => Promise<void> {
  const fault = findOptionFault(options, CHECKS, { required: ["functionName"] });
  if (fault !== undefined) throw new LiftError("INVALID_OPTION", { message: fault });
  const path = `/2015-03-31/functions/${encodeURIComponent(options.functionName)}/invocations`;
  const headers = { "content-type": "application/json", "x-amz-invocation-type": "Event" };
  let api: AwsEndpoint | undefined;
  return async (event) => {
    // Deferred to the first call, because it reads the environment.
    api ??= open(options);
    const endpoint = api;
    const payload = new Payload(JSON.stringify(event));
    const retry = new Retry({ deadline: elapsed() + TIMEOUT_MS });
    await retry.run((signal) => endpoint.send({ method: "POST", path, headers, payload, signal }));
  };
}

function open({ endpoint, region = process.env.AWS_REGION, credentials }: LambdaInvokerOptions): AwsEndpoint {
  return new AwsEndpoint({
    endpoint: endpoint ?? process.env.AWS_ENDPOINT_URL_LAMBDA ?? regionalEndpoint(region),
    region,
    credentials,
    service: "lambda",
    maxSockets: MAX_SOCKETS,
  });
}

function regionalEndpoint(region: string | undefined): string {
  if (region === undefined) {
    throw new AwsConfigurationError("Missing AWS region; set `AWS_REGION` or the option `region`");
  }
  return `https://lambda.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}
