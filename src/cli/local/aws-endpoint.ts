import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { readCredential } from "../../aws/index.ts";
import { readBody } from "../../internal/read-body.ts";
import {
  type DynamoDBTables,
  type ResolvedTemplate,
  readDynamoDBAccess,
  type ValueMap,
} from "../../lambda-emulator/index.ts";
import type { StackBuckets } from "./buckets.ts";
import { busNameOf } from "./event-bus.ts";
import { functionNameOf } from "./functions.ts";
import { mapsOf } from "./properties.ts";
import type { Callers, Decision } from "./roles.ts";

/** The services behind the endpoint. */
export interface AwsEndpointOptions {
  readonly callers: Callers;
  readonly tables: DynamoDBTables;
  /** `undefined` when the stack has no table. */
  readonly dynamoDBEndpoint: string | undefined;
  readonly lambdaEndpoint: string;
  readonly stack: ResolvedTemplate["stack"];
  readonly buckets: StackBuckets;
  /** Returns the ARN of a function of the stack. */
  readonly functionArn: (name: string) => string;
  /** Passes events to the rules of the stack, and returns the answer to PutEvents. */
  readonly putEvents: (entries: readonly ValueMap[]) => object;
  /** Receives a line for each call that is refused. */
  readonly onRefused: (line: string) => void;
}

/** The endpoint of all AWS services, as the functions see it. */
export interface AwsEndpoint {
  readonly url: string;
  stop(): Promise<void>;
}

/** DynamoDB's limit for a request. Those of Lambda are lower, and its API checks them. */
const MAX_BYTES = 16 * 2 ** 20;

/**
 * Serves DynamoDB, Lambda, EventBridge and S3 to the functions of a stack: it decides each request by the policies of the
 * function that signed it, and passes it on. Requests to other services fail, with an error that says that they are not run here.
 */
export async function serveAwsEndpoint(options: AwsEndpointOptions): Promise<AwsEndpoint> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    handle(request, response, options, agent).catch((error: Error) =>
      refuse(response, 500, "InternalFailure", error.message),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  options: AwsEndpointOptions,
  agent: Agent,
): Promise<void> {
  if (options.buckets.handles(request)) return options.buckets.handle(request, response);
  const credential = readCredential(request.headers.authorization);
  if (credential === undefined) {
    return refuse(response, 403, "MissingAuthenticationTokenException", "Missing Authentication Token");
  }
  const body = await readBody(request, MAX_BYTES);
  if (body === undefined) {
    response.setHeader("connection", "close");
    return refuse(response, 413, "RequestTooLargeException", `A request has at most ${MAX_BYTES} bytes`);
  }
  const { accessKeyId, service } = credential;
  const { callers, dynamoDBEndpoint, lambdaEndpoint, onRefused } = options;
  const forward = (decision: Decision, endpoint: string, status: number) => {
    if (decision.allowed) return pass(request, body, response, endpoint, agent);
    onRefused(decision.reason);
    return refuse(response, status, "AccessDeniedException", decision.reason);
  };
  switch (service) {
    case "dynamodb":
      if (dynamoDBEndpoint === undefined) break;
      return forward(decideDynamoDB(request, body, accessKeyId, options), dynamoDBEndpoint, 400);
    case "lambda": {
      const resource = options.functionArn(
        functionNameOf(decodeURIComponent(request.url?.split("/")[3] ?? "")),
      );
      return forward(
        callers.decide(accessKeyId, { action: "lambda:InvokeFunction", resource }),
        lambdaEndpoint,
        403,
      );
    }
    case "events": {
      const access = readPutEvents(request, body, options);
      if (access === undefined) break;
      const decision = callers.decide(accessKeyId, ...access.checks);
      if (decision.allowed) return answer(response, options.putEvents(access.entries));
      onRefused(decision.reason);
      return refuse(response, 400, "AccessDeniedException", decision.reason);
    }
  }
  const message = `lift-ws local does not run the service ${service}`;
  onRefused(message);
  refuse(response, 501, "NotImplemented", message);
}

/** Returns the entries of a PutEvents request, and what its caller must be allowed. */
function readPutEvents({ headers }: IncomingMessage, body: Buffer, { stack }: AwsEndpointOptions) {
  if (headers["x-amz-target"] !== "AWSEvents.PutEvents") return undefined;
  const entries = mapsOf((JSON.parse(body.toString()) as ValueMap).Entries);
  const { partition, region, accountId } = stack;
  const checks = entries.map((entry) => ({
    action: "events:PutEvents",
    resource: `arn:${partition}:events:${region}:${accountId}:event-bus/${busNameOf(entry)}`,
  }));
  return { entries, checks };
}

function decideDynamoDB(
  { headers }: IncomingMessage,
  body: Buffer,
  accessKeyId: string,
  { callers, tables }: AwsEndpointOptions,
): Decision {
  const access = readDynamoDBAccess(String(headers["x-amz-target"] ?? ""), body.toString(), tables);
  if (access.kind === "denied") return { allowed: false, reason: access.reason };
  return callers.decide(accessKeyId, ...access.checks);
}

/** Forwards a request. Neither DynamoDB Local nor the Lambda emulator verifies the signature. */
function pass(
  { method, url, headers }: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
  endpoint: string,
  agent: Agent,
): void {
  const forwarded = httpRequest(new URL(url ?? "/", endpoint), { method, headers, agent });
  forwarded.once("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  // The SDK retries: on AWS a service may be unreachable as well.
  forwarded.once("error", (error) => refuse(response, 503, "ServiceUnavailable", error.message));
  forwarded.end(body);
}

function answer(response: ServerResponse, content: object): void {
  response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
  response.end(JSON.stringify(content));
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-type": "application/x-amz-json-1.0", "x-amzn-errortype": type });
  response.end(JSON.stringify({ __type: `com.amazon.coral.service#${type}`, message, Message: message }));
}
