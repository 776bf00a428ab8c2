import {
  AwsConfigurationError,
  AwsEndpoint,
  AwsServiceError,
  loadHttpClient,
  Payload,
} from "../../../aws/index.ts";
import type { CallOptions, NoSdkOptions } from "../options.ts";
import type { Transport } from "./transport.ts";

type NoSdkTarget = Pick<CallOptions, "region"> & NoSdkOptions;

/** Concurrent requests; others wait for a free socket. The AWS SDK has the same limit. */
const MAX_SOCKETS = 50;

/**
 * Calls DynamoDB with signed requests over Node's HTTP. Input and output are the SDK's types as JSON. The stores use
 * only strings, numbers, maps and lists; binary values would need an encoding.
 */
export function createNoSdkTransport(target: NoSdkTarget): Transport {
  let api: AwsEndpoint | undefined;
  // Before the first call, so that Lambda loads TLS while it starts the function.
  loadHttpClient(target.endpoint ?? process.env.AWS_ENDPOINT_URL_DYNAMODB ?? "https:");
  return async (operation, input, signal) => {
    // Deferred to the first call, because it reads the environment.
    api ??= open(target);
    const headers = {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": `DynamoDB_20120810.${operation}`,
    };
    const payload = new Payload(JSON.stringify(input));
    try {
      return JSON.parse(await api.send({ method: "POST", path: "/", headers, payload, signal }));
    } catch (error) {
      throw error instanceof AwsServiceError ? withFailureReasons(error) : error;
    }
  };
}

/** Copies the reasons of a failed condition or transaction to where the SDK's errors have them. */
function withFailureReasons(error: AwsServiceError): AwsServiceError {
  for (const name of ["Item", "CancellationReasons"]) {
    const value = error.getField(name);
    if (value !== undefined) Object.assign(error, { [name]: value });
  }
  return error;
}

function open({ endpoint, region, credentials }: NoSdkTarget): AwsEndpoint {
  const url =
    endpoint ?? process.env.AWS_ENDPOINT_URL_DYNAMODB ?? regionalEndpoint(region ?? process.env.AWS_REGION);
  return new AwsEndpoint({
    endpoint: url,
    region,
    credentials,
    service: "dynamodb",
    maxSockets: MAX_SOCKETS,
  });
}

function regionalEndpoint(region: string | undefined): string {
  if (region === undefined)
    throw new AwsConfigurationError("Missing AWS region; set `AWS_REGION` or the option `region`");
  return `https://dynamodb.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}
