import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FunctionUrlEvent, FunctionUrlResult, LambdaContext } from "../../apigw/index.ts";
import { canonicalAddress } from "../../internal/ip-address.ts";

/** A handler of a Lambda function URL. */
export type FunctionUrlHandler = (event: FunctionUrlEvent, context: LambdaContext) => unknown;

/** Lambda's default timeout, in ms. */
const TIMEOUT_MS = 3_000;

/** Handles a request with a function URL handler. The body is not read, because ticket requests use headers only. */
export async function serveFunctionUrl(
  handler: FunctionUrlHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = await handler(createEvent(request), createContext());
  // Lambda transfers results as JSON, which drops undefined headers.
  const { statusCode, headers = {}, body } = JSON.parse(JSON.stringify(answer)) as FunctionUrlResult;
  response.writeHead(statusCode, { ...headers });
  response.end(body);
}

function createEvent(request: IncomingMessage): FunctionUrlEvent {
  const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(",")]);
  const http = {
    method: request.method ?? "GET",
    path,
    sourceIp: canonicalAddress(request.socket.remoteAddress ?? "") ?? "",
  };
  return {
    version: "2.0",
    rawPath: path,
    rawQueryString: query,
    headers: Object.fromEntries(headers) as { [name: string]: string },
    requestContext: { requestId: randomUUID(), http },
    isBase64Encoded: false,
  };
}

function createContext(): LambdaContext {
  const end = performance.now() + TIMEOUT_MS;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: "tickets",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:tickets",
    memoryLimitInMB: "128",
    awsRequestId: randomUUID(),
    logGroupName: "/aws/lambda/tickets",
    logStreamName: "local",
    getRemainingTimeInMillis: () => Math.max(0, end - performance.now()),
  };
}
