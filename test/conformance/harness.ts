import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import {
  ApiGatewayManagementApiClient,
  type ApiGatewayManagementApiClientConfig,
} from "@aws-sdk/client-apigatewaymanagementapi";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { ConnectEvent, DisconnectEvent, LambdaHandler, MessageEvent } from "../../src/apigw/index.ts";
import {
  createGateway,
  type EventReport,
  type Gateway,
  type GatewayOptions,
  type ManualClock,
} from "../../src/gateway/index.ts";
import { Queue } from "./queue.ts";

export const KEYS = { accessKeyId: "AKIDCONFORMANCE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG" };

/** A listening gateway, and the events of its handlers. */
export interface Api {
  readonly gateway: Gateway;
  readonly connects: Queue<ConnectEvent>;
  readonly messages: Queue<MessageEvent>;
  readonly disconnects: Queue<DisconnectEvent>;
  /** A report for each ended invocation. Its frames to the client have been written by then. */
  readonly reports: Queue<EventReport>;
}

export const ok = { statusCode: 200 };

/**
 * Starts a gateway on a free port and closes it when the test has finished. `answer` decides what the handler
 * answers, 200 by default; with `routes` in the options, each of those handlers is recorded instead.
 */
export async function startApi(
  options: GatewayOptions = {},
  answer: LambdaHandler = () => ok,
  host = "127.0.0.1",
): Promise<Api> {
  const connects = new Queue<ConnectEvent>();
  const messages = new Queue<MessageEvent>();
  const disconnects = new Queue<DisconnectEvent>();
  const reports = new Queue<EventReport>();
  const recorded =
    (handler: LambdaHandler): LambdaHandler =>
    (event, context) => {
      const { eventType } = event.requestContext;
      if (eventType === "CONNECT") connects.push(event as ConnectEvent);
      else if (eventType === "MESSAGE") messages.push(event as MessageEvent);
      else disconnects.push(event as DisconnectEvent);
      return handler(event, context, neverCalled);
    };
  const handlers =
    options.routes === undefined
      ? { handler: recorded(answer) }
      : {
          routes: Object.fromEntries(
            Object.entries(options.routes).map(([key, one]) => [key, recorded(one)]),
          ),
        };
  const onEvent = (report: EventReport) => {
    reports.push(report);
    return options.onEvent?.(report);
  };
  const gateway = createGateway({ ...options, ...handlers, onEvent });
  await gateway.listen({ port: 0, host });
  onTestFinished(() => stopNow(gateway, options.clock as ManualClock | undefined));
  return { gateway, connects, messages, disconnects, reports };
}

/** Closes a gateway at once, even if its clock is a `ManualClock`. */
export async function stopNow(gateway: Gateway, clock?: ManualClock): Promise<void> {
  let closed = false;
  const closing = gateway.close({ drainMs: 1, spreadMs: 1 }).then(() => {
    closed = true;
  });
  while (clock && !closed) {
    clock.advance(1);
    await turn();
  }
  await closing;
}

/** Resolves after everything that is due in this turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface ClientOptions {
  /** The rest of the URL after the base path, such as a query. */
  readonly path?: string;
  readonly protocols?: string[];
  readonly headers?: Record<string, string>;
  readonly ca?: string;
}

/** A client that follows the protocol. */
export class Client {
  readonly messages = new Queue<string>();
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly socket: WebSocket;
  /** The bytes and type of each message, for tests that need more than the text. */
  readonly frames = new Queue<{ data: Buffer; isBinary: boolean }>();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data, isBinary) => {
      this.frames.push({ data: data as Buffer, isBinary });
      this.messages.push(data.toString());
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    // A `close` event follows every error.
    socket.on("error", () => {});
  }

  send(data: string | object): void {
    this.socket.send(typeof data === "string" ? data : JSON.stringify(data));
  }

  /** Sends one message in frames of these sizes. */
  sendInFrames(sizes: readonly number[]): void {
    sizes.forEach((size, at) => {
      this.socket.send("x".repeat(size), { fin: at === sizes.length - 1, binary: false });
    });
  }
}

/** Starts to connect. `opened` and `closed` have the outcome. */
export function dial(gateway: Gateway, { path = "", protocols = [], headers, ca }: ClientOptions = {}) {
  const url = ca === undefined ? gateway.url : gateway.url.replace("ws:", "wss:");
  const socket = new WebSocket(url + path, protocols, {
    ...(headers && { headers }),
    ...(ca !== undefined && { ca }),
    perMessageDeflate: false,
  });
  onTestFinished(() => socket.terminate());
  return new Client(socket);
}

/** Resolves when the connection is open. */
export async function connect(gateway: Gateway, options?: ClientOptions): Promise<Client> {
  const client = dial(gateway, options);
  await new Promise((resolve, reject) => {
    client.socket.once("open", resolve);
    client.socket.once("error", reject);
  });
  return client;
}

/** Connects, and resolves to the client and the connection's id. */
export async function connectWithId(api: Api, options?: ClientOptions) {
  const client = await connect(api.gateway, options);
  const { requestContext } = await api.connects.next();
  return { client, id: requestContext.connectionId };
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface HttpOptions {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Uint8Array;
  readonly ca?: string;
}

/** Sends a plain HTTP request to a path of the gateway. A 101 is a response too; its socket is destroyed. */
export async function http(gateway: Gateway, path: string, options: HttpOptions = {}): Promise<HttpAnswer> {
  const { method = "GET", headers = {}, body, ca } = options;
  const common = { host: "127.0.0.1", port: gateway.port, path, method, headers, agent: false as const };
  const request = ca === undefined ? httpRequest(common) : httpsRequest({ ...common, ca });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.on("response", resolve);
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response);
    });
    request.on("error", reject);
  });
  request.end(body);
  const response = await answered;
  const chunks: Buffer[] = [];
  if (response.statusCode !== 101) for await (const chunk of response) chunks.push(chunk);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
  };
}

export const UPGRADE_HEADERS = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** Sends an upgrade request and resolves to its response: 101, or the status of the refusal. */
export function upgrade(
  gateway: Gateway,
  path = "/dev",
  headers: Record<string, string | string[]> = {},
): Promise<HttpAnswer> {
  return http(gateway, path, { headers: { ...UPGRADE_HEADERS, ...headers } });
}

/** Creates the AWS SDK's client. It does not retry, because retries would hide the first response. */
export function sdk(gateway: Gateway, config: ApiGatewayManagementApiClientConfig = {}) {
  const client = new ApiGatewayManagementApiClient({
    endpoint: gateway.endpoint,
    region: "us-east-1",
    credentials: KEYS,
    maxAttempts: 1,
    ...config,
  });
  onTestFinished(() => client.destroy());
  return client;
}

/** Resolves to the error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return promise.then(
    () => {
      throw new Error("It did not reject");
    },
    (error) => error,
  );
}

/** Returns the service's exact error frame. */
export function errorFrame(message: string, connectionId: string, requestId: string): string {
  return `{"message": "${message}", "connectionId":"${connectionId}", "requestId":"${requestId}"}`;
}

/** Creates a promise that a test resolves. */
export function gate<T = void>() {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

function neverCalled(): void {
  throw new Error("These handlers answer by their promise");
}
