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

/** Fields that a test may set on any event. All others are as the service sends them. */
export interface EventOverrides {
  /** Default: a fixed id. */
  readonly connectionId?: string;
  /** Context of an authorizer, which every event of an authorized connection has. Default: no authorizer. */
  readonly authorizer?: Partial<AuthorizerContext>;
  /** Variables of the API's stage. Default: none. */
  readonly stageVariables?: StageVariables;
}

/** Fields that a test may set on a `$connect` event. */
export interface ConnectOverrides extends EventOverrides {
  /** Headers of the upgrade request, besides those that every client sends. Default: none. */
  readonly headers?: Headers;
  /** Query parameters of the upgrade request. Default: none. */
  readonly query?: { readonly [name: string]: string };
  /** Fields of the request context. */
  readonly requestContext?: Partial<ConnectRequestContext>;
}

/** Fields that a test may set on a message event. */
export interface MessageOverrides extends EventOverrides {
  /** Fields of the request context. */
  readonly requestContext?: Partial<MessageRequestContext>;
}

/** Fields that a test may set on a `$disconnect` event. */
export interface DisconnectOverrides extends EventOverrides {
  /** Close code. Default 1000. */
  readonly code?: number;
  /** Close reason. Default "Connection Closed Normally". */
  readonly reason?: string;
  /** Fields of the request context. */
  readonly requestContext?: Partial<DisconnectRequestContext>;
}

const DOMAIN = "abcdef1234.execute-api.us-east-1.amazonaws.com";
const CONNECTION_ID = "L0SM9cOFvHcCIhw=";
const USER_AGENT = "lift-ws-test";

/**
 * Returns the event that API Gateway sends for a route: `$connect`, `$disconnect`, or a message with a body.
 * @param body text of the message; default empty
 * @example
 * const event = createTestWebSocketEvent("greet", "id-1", JSON.stringify({ name: "Ada" }));
 * const result = await app.webSocketHandler()(event, lambdaContext());
 */
export function createTestWebSocketEvent(
  route: string,
  connectionId: string = CONNECTION_ID,
  body = "",
): WebSocketEvent {
  if (route === "$connect") return connectEvent({ connectionId });
  if (route === "$disconnect") return disconnectEvent({ connectionId });
  return messageEvent(route, body, { connectionId });
}

/**
 * Returns a `$connect` event.
 * @example
 * const event = connectEvent({ headers: { Authorization: "Bearer token" } });
 */
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

/**
 * Returns a message event.
 * @param body a string is used as it is; any other value is serialized as JSON
 * @example
 * const event = messageEvent("greet", { name: "Ada" });
 */
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

/**
 * Returns a `$disconnect` event.
 * @example
 * const event = disconnectEvent({ code: 1001, reason: "Going away" });
 */
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

/**
 * Returns the event of a REQUEST authorizer. It has no authorizer context yet.
 * @example
 * const result = await authorizer(authorizerEvent({ query: { token: "token" } }));
 */
export function authorizerEvent(overrides: Omit<ConnectOverrides, "authorizer"> = {}): AuthorizerEvent {
  const event = connectEvent(overrides);
  const { apiId, stage } = event.requestContext;
  return {
    ...event,
    type: "REQUEST",
    methodArn: `arn:aws:execute-api:us-east-1:123456789012:${apiId}/${stage}/$connect`,
  };
}

/**
 * Returns the context that Lambda passes to a handler, with 29 seconds left.
 * @example
 * const context = lambdaContext({ getRemainingTimeInMillis: () => 500 });
 */
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

/** Returns the fields that the request contexts of all events share. */
function commonContext({ connectionId = CONNECTION_ID, authorizer }: EventOverrides) {
  const requestId = "Ti89OF32joEFbiA=";
  const requestTimeEpoch = Date.now();
  return {
    extendedRequestId: requestId,
    requestTime: formatLogTime(requestTimeEpoch),
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

function authorizerContext(fields: Partial<AuthorizerContext>): AuthorizerContext {
  return { principalId: "user", integrationLatency: 1, ...fields } as AuthorizerContext;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Formats a time as `31/Aug/2022:13:34:52 +0000`. */
function formatLogTime(ms: number): string {
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
