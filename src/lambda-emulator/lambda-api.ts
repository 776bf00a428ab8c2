import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readBody } from "../internal/read-body.ts";
import { FunctionError, LambdaEmulatorError } from "./errors.ts";
import { type AsyncInvocationOptions, AsyncInvocations } from "./functions/async-invocations.ts";
import type { LambdaFunction } from "./functions/lambda-function.ts";

/** Options of {@link serveLambdaApi}. `getFunction` is required. */
export interface LambdaApiOptions extends AsyncInvocationOptions {
  /** Returns the function with a name. */
  readonly getFunction: (name: string) => LambdaFunction | undefined;
}

/** A running Lambda API. */
export interface LambdaApi {
  /** The endpoint, such as `http://127.0.0.1:49152`: the functions' `AWS_ENDPOINT_URL_LAMBDA`. */
  readonly endpoint: string;
  /** Stops it. Events that wait for a retry are dropped. */
  stop(): Promise<void>;
}

/** The service's limits of an event, in bytes. */
const MAX_EVENT_BYTES = { Event: 1_048_576, RequestResponse: 6_291_556 } as const;

const PATH = /^\/2015-03-31\/functions\/([^/?]+)\/invocations(?:\?.*)?$/;

/**
 * Serves the operation `Invoke` of the Lambda API on loopback: synchronously, and asynchronously with retries. It requires a
 * signature, so that no web page can call it, and does not verify it.
 * @example
 * const api = await serveLambdaApi({ getFunction: (name) => (name === "worker" ? worker : undefined) });
 */
export async function serveLambdaApi({ getFunction, ...options }: LambdaApiOptions): Promise<LambdaApi> {
  const queues = new Map<LambdaFunction, AsyncInvocations>();
  const queueOf = (found: LambdaFunction) => {
    const queue = queues.get(found) ?? new AsyncInvocations(found, options);
    queues.set(found, queue);
    return queue;
  };
  const server = createServer((request, response) => {
    invoke(request, response, getFunction, queueOf).catch((error: Error) =>
      refuse(response, 500, "ServiceException", error.message),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const stop = async () => {
    for (const queue of queues.values()) queue.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop };
}

async function invoke(
  request: IncomingMessage,
  response: ServerResponse,
  getFunction: LambdaApiOptions["getFunction"],
  queueOf: (found: LambdaFunction) => AsyncInvocations,
): Promise<void> {
  const [, encoded] = PATH.exec(request.url ?? "") ?? [];
  if (encoded === undefined || request.method !== "POST") {
    return refuse(response, 404, "UnknownOperationException", "Only `Invoke` is supported");
  }
  if (!request.headers.authorization?.startsWith("AWS4-HMAC-SHA256 ")) {
    return refuse(response, 403, "MissingAuthenticationTokenException", "Missing Authentication Token");
  }
  const name = functionName(decodeURIComponent(encoded));
  const found = getFunction(name);
  if (found === undefined) {
    return refuse(response, 404, "ResourceNotFoundException", `Function not found: ${name}`);
  }
  const type = request.headers["x-amz-invocation-type"] ?? "RequestResponse";
  if (type !== "Event" && type !== "RequestResponse") {
    return refuse(response, 400, "InvalidParameterValueException", `Unsupported invocation type: ${type}`);
  }
  const body = await readBody(request, MAX_EVENT_BYTES[type]);
  if (body === undefined) {
    const message = `The payload exceeds ${MAX_EVENT_BYTES[type]} bytes, the limit of the ${type} invocation type`;
    return refuse(response, 413, "RequestTooLargeException", message);
  }
  const event = parseJson(body.toString());
  if (event === undefined) {
    return refuse(response, 400, "InvalidRequestContentException", "Could not parse request body into json");
  }
  if (type === "Event") {
    response.writeHead(202, { "x-amzn-requestid": queueOf(found).accept(event.value) }).end();
    return;
  }
  await respond(response, found, event.value);
}

async function respond(response: ServerResponse, found: LambdaFunction, event: unknown): Promise<void> {
  const headers = { "content-type": "application/json", "x-amz-executed-version": "$LATEST" };
  try {
    const result = await found.invoke(event);
    response.writeHead(200, headers).end(JSON.stringify(result ?? null));
  } catch (error) {
    const { name: errorType, message: errorMessage } = error as Error;
    if (error instanceof FunctionError) {
      response.writeHead(200, { ...headers, "x-amz-function-error": "Unhandled" });
      response.end(JSON.stringify({ errorType, errorMessage }));
    } else if (error instanceof LambdaEmulatorError && error.code === "THROTTLED") {
      refuse(response, 429, "TooManyRequestsException", errorMessage);
    } else {
      refuse(response, 500, "ServiceException", errorMessage);
    }
  }
}

/** `worker`, `000000000000:function:worker` or `arn:aws:lambda:us-east-1:000000000000:function:worker`, each with a version. */
function functionName(text: string): string {
  const parts = text.split(":");
  const at = parts.indexOf("function");
  return parts[at + 1] ?? text;
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json", "x-amzn-errortype": type });
  response.end(JSON.stringify({ Type: status < 500 ? "User" : "Service", Message: message }));
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    // An empty body is an empty event.
    return { value: text === "" ? {} : JSON.parse(text) };
  } catch {
    return undefined;
  }
}
