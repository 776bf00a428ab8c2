import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { MAX_LAMBDA_RESPONSE_BYTES } from "../apigw/index.ts";
import { readBody } from "../internal/read-body.ts";
import type { FunctionErrorPayload } from "./errors.ts";

/** An event for the function. */
export interface Invocation {
  readonly requestId: string;
  /** The event, as JSON. */
  readonly event: string;
  /** Deadline in ms since the epoch. */
  readonly deadline: number;
  readonly functionArn: string;
  readonly traceId: string;
}

/** Receives the requests of a function's process. */
export interface RuntimeListener {
  /** The process has finished its invocation and waits for another one, passed to `give`. */
  next(give: (invocation: Invocation) => void): void;
  /** The result of an invocation. Returns false when the invocation is not running. */
  response(requestId: string, body: string): boolean;
  /** The error of an invocation. Returns false when the invocation is not running. */
  error(requestId: string, fault: FunctionErrorPayload): boolean;
  /** The error of the initialization. */
  initError(fault: FunctionErrorPayload): void;
}

/** A running Runtime API. */
export interface RuntimeApi {
  /** The process's `AWS_LAMBDA_RUNTIME_API`, such as `127.0.0.1:9001`. */
  readonly address: string;
  close(): void;
}

const PATH = /^\/2018-06-01\/runtime\/(?:invocation\/(?:(next)|([\w-]+)\/(response|error))|(init\/error))$/;

/** Serves the Lambda Runtime API to one process. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html */
export function serveRuntimeApi(listener: RuntimeListener): Promise<RuntimeApi> {
  const server = createServer((request, response) => {
    // A broken connection means that the process has ended, which its owner detects itself.
    respond(listener, request, response).catch(() => response.destroy());
  });
  // The process waits for its next event without a limit.
  Object.assign(server, { requestTimeout: 0, keepAliveTimeout: 0, headersTimeout: 0, timeout: 0 });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve({ address: toAddress(server), close: () => close(server) }));
  });
}

function toAddress(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

async function respond(listener: RuntimeListener, request: IncomingMessage, response: ServerResponse) {
  const [, next, requestId, kind, init] = PATH.exec(request.url ?? "") ?? [];
  if (next && request.method === "GET") {
    listener.next((invocation) => give(invocation, response));
  } else if (requestId && request.method === "POST") {
    await receiveOutcome(listener, request, response, requestId, kind === "response");
  } else if (init && request.method === "POST") {
    listener.initError(readFault(await readText(request)));
    accept(response);
  } else {
    refuse(response, 404, "NotFound", "Resource not found");
  }
}

function give(invocation: Invocation, response: ServerResponse): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "lambda-runtime-aws-request-id": invocation.requestId,
    "lambda-runtime-deadline-ms": invocation.deadline,
    "lambda-runtime-invoked-function-arn": invocation.functionArn,
    "lambda-runtime-trace-id": invocation.traceId,
  });
  response.end(invocation.event);
}

async function receiveOutcome(
  listener: RuntimeListener,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  succeeded: boolean,
): Promise<void> {
  const body = await readText(request);
  const size = Buffer.byteLength(body);
  const isTooLarge = succeeded && size > MAX_LAMBDA_RESPONSE_BYTES;
  const known = isTooLarge
    ? listener.error(requestId, tooLarge(size))
    : succeeded
      ? listener.response(requestId, body)
      : listener.error(requestId, readFault(body));
  if (!known) refuse(response, 400, "InvalidRequestID", "The invocation is not running");
  else if (isTooLarge) refuse(response, 413, "RequestEntityTooLarge", "The response is too large");
  else accept(response);
}

function tooLarge(bytes: number): FunctionErrorPayload {
  return {
    errorType: "Function.ResponseSizeTooLarge",
    errorMessage: `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${MAX_LAMBDA_RESPONSE_BYTES} bytes).`,
  };
}

function accept(response: ServerResponse): void {
  response.writeHead(202, { "content-type": "application/json" }).end('{"status":"OK"}');
}

function refuse(response: ServerResponse, status: number, errorType: string, errorMessage: string): void {
  const body = JSON.stringify({ errorType, errorMessage });
  response.writeHead(status, { "content-type": "application/json" }).end(body);
}

/** The function's own process is trusted, so any length is read. */
async function readText(request: IncomingMessage): Promise<string> {
  return String(await readBody(request, Number.POSITIVE_INFINITY));
}

/** Parses an error. The process may have any runtime, so every field is checked. */
function readFault(body: string): FunctionErrorPayload {
  let fault: Record<string, unknown> = {};
  try {
    fault = Object(JSON.parse(body));
  } catch {}
  const { errorType, errorMessage, trace, stackTrace } = fault;
  const lines = trace ?? stackTrace;
  return {
    errorType: typeof errorType === "string" ? errorType : "Unknown",
    errorMessage: typeof errorMessage === "string" ? errorMessage : body,
    trace: Array.isArray(lines) ? lines.map(String) : [],
  };
}
