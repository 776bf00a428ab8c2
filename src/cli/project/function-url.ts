import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FunctionUrlEvent, LambdaContext } from "../../apigw/index.ts";
import { canonicalAddress } from "../../internal/ip-address.ts";
import { readBody } from "../../internal/read-body.ts";

/** A handler of a Lambda function URL. */
export type FunctionUrlHandler = (event: FunctionUrlEvent, context: LambdaContext) => unknown;

/** Lambda's default timeout, in ms. */
const TIMEOUT_MS = 3_000;
/** Lambda's limit for a request. */
const MAX_BYTES = 6 * 2 ** 20;
/** Bodies of other types are encoded as base64. */
const TEXT = /^(text\/|application\/(json|javascript|xml)\b|[\w/.-]+\+(json|xml)\b)/i;

/**
 * Handles a request with a function URL handler, as payload format 2.0 describes.
 * @param extra headers of the response, beside those of the handler
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 */
export async function serveFunctionUrl(
  handler: FunctionUrlHandler,
  request: IncomingMessage,
  response: ServerResponse,
  extra: { readonly [name: string]: string } = {},
): Promise<void> {
  const body = await readBody(request, MAX_BYTES);
  if (body === undefined) {
    response.writeHead(413, { connection: "close", "content-length": 0 }).end();
    return;
  }
  const result = readResult(await handler(createEvent(request, body), createContext()));
  response.writeHead(result.statusCode, { ...result.headers, ...extra });
  response.end(result.body);
}

function createEvent(request: IncomingMessage, body: Buffer): FunctionUrlEvent {
  const [rawPath = "/", rawQueryString = ""] = (request.url ?? "/").split("?", 2);
  const { cookie, ...given } = request.headers;
  const { host = "", "user-agent": userAgent, "content-type": type = "" } = given;
  const sourceIp = canonicalAddress(request.socket.remoteAddress ?? "") ?? "";
  const forwarded = { "x-forwarded-for": sourceIp, "x-forwarded-proto": "http" };
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(rawQueryString)) {
    parameters.set(name, parameters.has(name) ? `${parameters.get(name)},${value}` : value);
  }
  const isBase64Encoded = !TEXT.test(type) && body.length > 0;
  const now = Date.now();
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    ...(cookie !== undefined && { cookies: cookie.split(/; */) }),
    headers: Object.fromEntries(
      Object.entries({ ...given, ...forwarded }).map(([name, value]) => [name, [value].flat().join(",")]),
    ),
    ...(parameters.size > 0 && { queryStringParameters: Object.fromEntries(parameters) }),
    requestContext: {
      accountId: "anonymous",
      apiId: host.split(/[.:]/, 1)[0],
      domainName: host,
      domainPrefix: host.split(/[.:]/, 1)[0],
      http: {
        method: request.method ?? "GET",
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp,
        ...(userAgent !== undefined && { userAgent }),
      },
      requestId: randomUUID(),
      routeKey: "$default",
      stage: "$default",
      time: commonLogTime(new Date(now)),
      timeEpoch: now,
    },
    ...(body.length > 0 && { body: body.toString(isBase64Encoded ? "base64" : "utf8") }),
    isBase64Encoded,
  } as const;
  return event;
}

/** Formats a date as `29/Nov/2026:08:30:00 +0000`. */
function commonLogTime(date: Date): string {
  const [, day, month, year, time] = date.toUTCString().split(/[, ]+/);
  return `${day}/${month}/${year}:${time} +0000`;
}

interface Result {
  readonly statusCode: number;
  readonly headers: { readonly [name: string]: string | string[] };
  readonly body: string | Buffer;
}

/** Reads a handler's result. Lambda transfers it as JSON, which drops undefined headers. @throws TypeError when it is invalid */
function readResult(answer: unknown): Result {
  const value = JSON.parse(JSON.stringify(answer ?? null));
  const defaults = { "content-type": "application/json" };
  if (value?.statusCode === undefined) {
    return {
      statusCode: 200,
      headers: defaults,
      body: typeof value === "string" ? value : JSON.stringify(value),
    };
  }
  const { headers = {}, cookies = [], body = "", isBase64Encoded = false } = value;
  const statusCode = Number(value.statusCode);
  if (!(Number.isInteger(statusCode) && statusCode >= 200 && statusCode <= 599)) {
    throw new TypeError(
      `Invalid result of a function URL: \`statusCode\` is ${JSON.stringify(value.statusCode)}`,
    );
  }
  const named = Object.entries(headers).map(([name, each]) => [name.toLowerCase(), String(each)]);
  return {
    statusCode,
    headers: {
      ...defaults,
      ...Object.fromEntries(named),
      ...(cookies.length > 0 && { "set-cookie": cookies }),
    },
    body: isBase64Encoded ? Buffer.from(body, "base64") : String(body),
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
