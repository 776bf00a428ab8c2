import type {
  AuthorizerContext,
  AuthorizerEvent,
  ConnectEvent,
  ConnectRequestContext,
  DisconnectEvent,
  DisconnectRequestContext,
  Headers,
  LambdaContext,
  MessageEvent,
  MessageRequestContext,
  StageVariables,
  WebSocketEvent,
} from "../../apigw/index.ts";

/** What a test may say of an event; everything else is as the service sends it. */
export interface EventOverrides {
  readonly connectionId?: string;
  /** The authorizer's context, as every event of an authorized connection carries it. */
  readonly authorizer?: Partial<AuthorizerContext>;
  readonly stageVariables?: StageVariables;
}

export interface ConnectOverrides extends EventOverrides {
  /** The upgrade request's, besides those that every client sends. */
  readonly headers?: Headers;
  readonly query?: { readonly [name: string]: string };
  readonly requestContext?: Partial<ConnectRequestContext>;
}

export interface MessageOverrides extends EventOverrides {
  readonly requestContext?: Partial<MessageRequestContext>;
}

export interface DisconnectOverrides extends EventOverrides {
  /** Default 1000. */
  readonly code?: number;
  /** Default "Connection Closed Normally". */
  readonly reason?: string;
  readonly requestContext?: Partial<DisconnectRequestContext>;
}

const DOMAIN = "abcdef1234.execute-api.us-east-1.amazonaws.com";
const CONNECTION_ID = "L0SM9cOFvHcCIhw=";
const USER_AGENT = "lift-ws-test";

/** The event that the service sends for a route: `$connect`, `$disconnect`, or a message with this body. */
export function createTestWebSocketEvent(
  route: string,
  connectionId: string = CONNECTION_ID,
  body = "",
): WebSocketEvent {
  if (route === "$connect") return connectEvent({ connectionId });
  if (route === "$disconnect") return disconnectEvent({ connectionId });
  return messageEvent(route, body, { connectionId });
}

export function connectEvent(overrides: ConnectOverrides = {}): ConnectEvent {
  const headers = {
    Host: DOMAIN,
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "User-Agent": USER_AGENT,
    "X-Amzn-Trace-Id": "Root=1-630f637c-74d9e0581d71eb9d0ca0b056",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
    ...overrides.headers,
  };
  return {
    headers,
    multiValueHeaders: multiValue(headers),
    ...queryFields(overrides.query),
    requestContext: {
      routeKey: "$connect",
      eventType: "CONNECT",
      ...commonContext(overrides),
      ...overrides.requestContext,
    },
    ...stageVariables(overrides),
    isBase64Encoded: false,
  };
}

/** A message; `body` goes in as it is when it is a string, else as JSON. */
export function messageEvent(route: string, body: unknown, overrides: MessageOverrides = {}): MessageEvent {
  return {
    requestContext: {
      routeKey: route,
      messageId: "Ti89OAAt3vcAAAQ=",
      eventType: "MESSAGE",
      ...commonContext(overrides),
      ...overrides.requestContext,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...stageVariables(overrides),
    isBase64Encoded: false,
  };
}

export function disconnectEvent(overrides: DisconnectOverrides = {}): DisconnectEvent {
  const headers = { Host: DOMAIN, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" };
  return {
    headers,
    multiValueHeaders: multiValue(headers),
    requestContext: {
      routeKey: "$disconnect",
      disconnectStatusCode: overrides.code ?? 1000,
      disconnectReason: overrides.reason ?? "Connection Closed Normally",
      eventType: "DISCONNECT",
      ...commonContext(overrides),
      ...overrides.requestContext,
    },
    ...stageVariables(overrides),
    isBase64Encoded: false,
  };
}

/** What a REQUEST authorizer is given. Its own context is not in it yet. */
export function authorizerEvent(overrides: Omit<ConnectOverrides, "authorizer"> = {}): AuthorizerEvent {
  const event = connectEvent(overrides);
  const { apiId, stage } = event.requestContext;
  return {
    ...event,
    type: "REQUEST",
    methodArn: `arn:aws:execute-api:us-east-1:123456789012:${apiId}/${stage}/$connect`,
  };
}

/** A Lambda's second argument, with 29 seconds left. */
export function lambdaContext(overrides: Partial<LambdaContext> = {}): LambdaContext {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: "test",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:test",
    memoryLimitInMB: "256",
    awsRequestId: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    logGroupName: "/aws/lambda/test",
    logStreamName: "2026/01/01/[$LATEST]0123456789abcdef",
    getRemainingTimeInMillis: () => 29_000,
    ...overrides,
  };
}

/** What the three events' contexts share. */
function commonContext({ connectionId = CONNECTION_ID, authorizer }: EventOverrides) {
  const requestId = "Ti89OF32joEFbiA=";
  const requestTimeEpoch = Date.now();
  return {
    extendedRequestId: requestId,
    requestTime: logTime(requestTimeEpoch),
    messageDirection: "IN" as const,
    stage: "test",
    connectedAt: requestTimeEpoch,
    requestTimeEpoch,
    identity: { sourceIp: "127.0.0.1", userAgent: USER_AGENT },
    requestId,
    domainName: DOMAIN,
    connectionId,
    apiId: "abcdef1234",
    ...(authorizer === undefined ? {} : { authorizer: authorizerContext(authorizer) }),
  };
}

function authorizerContext(given: Partial<AuthorizerContext>): AuthorizerContext {
  return { principalId: "user", integrationLatency: 1, ...given } as AuthorizerContext;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `31/Aug/2022:13:34:52 +0000` */
function logTime(ms: number): string {
  const [year, month, day, time] = new Date(ms).toISOString().split(/[-T.]/);
  return `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
}

function multiValue(fields: { readonly [name: string]: string }): { [name: string]: string[] } {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, [value]]));
}

function queryFields(query: ConnectOverrides["query"]) {
  if (query === undefined || Object.keys(query).length === 0) return {};
  return { queryStringParameters: query, multiValueQueryStringParameters: multiValue(query) };
}

function stageVariables(overrides: EventOverrides) {
  return overrides.stageVariables === undefined ? {} : { stageVariables: overrides.stageVariables };
}
