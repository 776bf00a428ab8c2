import {
  AwsConfigurationError,
  type AwsCredentials,
  type AwsCredentialsProvider,
  AwsEndpoint,
  AwsServiceError,
  Payload,
} from "../../../aws/index.ts";
import type { Transport } from "./transport.ts";

export interface NoSdkTarget {
  /** Default: the region's, or what `AWS_ENDPOINT_URL_DYNAMODB` says. */
  readonly endpoint?: string | undefined;
  /** Default: `AWS_REGION`. */
  readonly region?: string | undefined;
  /** Default: those that Lambda sets in a function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider | undefined;
}

/** Requests under way at a time; more wait. As with the AWS SDK. */
const MAX_SOCKETS = 50;

/**
 * Signed requests over Node's own HTTP. What the store keeps is text, numbers, maps and lists, and of those the API's
 * JSON is what the SDK takes and gives; only binary values would have to be encoded.
 */
export function createNoSdkTransport(target: NoSdkTarget): Transport {
  let api: AwsEndpoint | undefined;
  return async (operation, input, signal) => {
    // Opened when it is first needed: that reads the environment.
    api ??= open(target);
    const headers = {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": `DynamoDB_20120810.${operation}`,
    };
    const payload = new Payload(JSON.stringify(input));
    try {
      return JSON.parse(await api.send({ method: "POST", path: "/", headers, payload, signal }));
    } catch (error) {
      throw error instanceof AwsServiceError ? withMembers(error) : error;
    }
  };
}

/** What a condition or a transaction fails on stands in the error itself, as with the SDK. */
function withMembers(error: AwsServiceError): AwsServiceError {
  for (const name of ["Item", "CancellationReasons"]) {
    const value = error.getField(name);
    if (value !== undefined) Object.assign(error, { [name]: value });
  }
  return error;
}

function open({ endpoint, region, credentials }: NoSdkTarget): AwsEndpoint {
  const url = endpoint ?? process.env.AWS_ENDPOINT_URL_DYNAMODB ?? regional(region ?? process.env.AWS_REGION);
  return new AwsEndpoint({
    endpoint: url,
    region,
    credentials,
    service: "dynamodb",
    maxSockets: MAX_SOCKETS,
  });
}

function regional(region: string | undefined): string {
  if (region === undefined)
    throw new AwsConfigurationError("No region: set AWS_REGION, or the option region");
  return `https://dynamodb.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}
