import { AwsConfigurationError, type AwsCredentials, type AwsCredentialsProvider } from "./credentials.ts";
import { AwsEndpoint, loadHttpClient, Payload } from "./http.ts";

/** Services with an API of JSON requests, by their names in hosts and signatures. `monitoring` is CloudWatch. */
const SERVICES = {
  dynamodb: { target: "DynamoDB_20120810", version: "1.0", endpoint: "AWS_ENDPOINT_URL_DYNAMODB" },
  monitoring: {
    target: "GraniteServiceVersion20100801",
    version: "1.0",
    endpoint: "AWS_ENDPOINT_URL_CLOUDWATCH",
  },
  ssm: { target: "AmazonSSM", version: "1.1", endpoint: "AWS_ENDPOINT_URL_SSM" },
} as const;

/** Address and credentials of a service. */
export interface AwsTarget {
  /** Endpoint URL. Default: `AWS_ENDPOINT_URL_` and the service's name in the environment, else the region's endpoint. */
  readonly endpoint?: string | undefined;
  /** AWS region. Default: `AWS_REGION`. */
  readonly region?: string | undefined;
  /** Credentials, or a function that returns them. Default: those in Lambda's environment variables. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider | undefined;
}

/** Concurrent requests; others wait for a free socket. The AWS SDK has the same limit. */
const MAX_SOCKETS = 50;

/** Calls DynamoDB, Systems Manager or CloudWatch with signed requests over Node's HTTP. It does not retry. */
export class AwsJsonApi {
  readonly #name: keyof typeof SERVICES;
  readonly #target: AwsTarget;
  #endpoint: AwsEndpoint | undefined;

  constructor(name: keyof typeof SERVICES, target: AwsTarget) {
    this.#name = name;
    this.#target = target;
    // Before the first call, so that Lambda loads TLS while it starts the function.
    loadHttpClient(target.endpoint ?? process.env[SERVICES[name].endpoint] ?? "https:");
  }

  /**
   * @throws {AwsServiceError} for a response other than 2xx
   * @throws {AwsConfigurationError} without a region or credentials
   */
  async call(operation: string, input: object, signal: AbortSignal): Promise<unknown> {
    // Deferred to the first call, because it reads the environment.
    this.#endpoint ??= this.#open();
    const { target, version } = SERVICES[this.#name];
    const headers = {
      "content-type": `application/x-amz-json-${version}`,
      "x-amz-target": `${target}.${operation}`,
    };
    const payload = new Payload(JSON.stringify(input));
    return JSON.parse(await this.#endpoint.send({ method: "POST", path: "/", headers, payload, signal }));
  }

  #open(): AwsEndpoint {
    const { endpoint, region, credentials } = this.#target;
    const url = endpoint ?? process.env[SERVICES[this.#name].endpoint] ?? this.#regionalEndpoint();
    return new AwsEndpoint({
      endpoint: url,
      region,
      credentials,
      service: this.#name,
      maxSockets: MAX_SOCKETS,
    });
  }

  #regionalEndpoint(): string {
    const region = this.#target.region ?? process.env.AWS_REGION;
    if (region === undefined)
      throw new AwsConfigurationError("Missing AWS region; set `AWS_REGION` or the option `region`");
    return `https://${this.#name}.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
  }
}
