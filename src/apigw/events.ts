/**
 * The events that an API Gateway WebSocket API sends to its integrations, field by field.
 * Source: the service's documentation and captured events; COMPATIBILITY.md has a row for each.
 */

export type EventType = "CONNECT" | "MESSAGE" | "DISCONNECT";

/** An authorizer's result for a connection: its principal and context. Context values arrive as strings. */
export type AuthorizerContext = {
  readonly principalId: string;
  /** How long the authorizer took, in ms. The only number in here. */
  readonly integrationLatency: number;
} & { readonly [name: string]: string | number };

export interface Identity {
  readonly sourceIp: string;
  /** Absent when the client sent none. */
  readonly userAgent?: string;
}

interface RequestContextBase {
  readonly routeKey: string;
  /** The same value as `extendedRequestId`. */
  readonly requestId: string;
  readonly extendedRequestId: string;
  /** Common log format, UTC: `31/Aug/2022:13:34:52 +0000`. */
  readonly requestTime: string;
  /** ms since the epoch. */
  readonly requestTimeEpoch: number;
  readonly messageDirection: "IN";
  readonly stage: string;
  /** ms since the epoch. */
  readonly connectedAt: number;
  readonly identity: Identity;
  /** The host of the @connections endpoint, `https://{domainName}/{stage}`. */
  readonly domainName: string;
  /** 16 characters of base64url, the last one `=`. Opaque. */
  readonly connectionId: string;
  readonly apiId: string;
  /** Present when the API has an authorizer. */
  readonly authorizer?: AuthorizerContext;
}

export interface ConnectRequestContext extends RequestContextBase {
  readonly routeKey: "$connect";
  readonly eventType: "CONNECT";
}

export interface MessageRequestContext extends RequestContextBase {
  readonly eventType: "MESSAGE";
  readonly messageId: string;
}

export interface DisconnectRequestContext extends RequestContextBase {
  readonly routeKey: "$disconnect";
  readonly eventType: "DISCONNECT";
  /** The close code: the client's own, or the service's. */
  readonly disconnectStatusCode: number;
  readonly disconnectReason: string;
}

export type Headers = { readonly [name: string]: string };
export type MultiValueHeaders = { readonly [name: string]: readonly string[] };
export type StageVariables = { readonly [name: string]: string };

export interface ConnectEvent {
  /** The client's headers, each name in the client's own case. A repeated header has its last value. */
  readonly headers: Headers;
  readonly multiValueHeaders: MultiValueHeaders;
  /** Absent when the URL has no query. */
  readonly queryStringParameters?: { readonly [name: string]: string };
  readonly multiValueQueryStringParameters?: { readonly [name: string]: readonly string[] };
  readonly requestContext: ConnectRequestContext;
  readonly stageVariables?: StageVariables;
  readonly isBase64Encoded: false;
}

export interface MessageEvent {
  readonly requestContext: MessageRequestContext;
  readonly stageVariables?: StageVariables;
  /** The message's text, unparsed. */
  readonly body: string;
  readonly isBase64Encoded: false;
}

export interface DisconnectEvent {
  /** A stub: `Host`, and three empty headers. */
  readonly headers: Headers;
  readonly multiValueHeaders: MultiValueHeaders;
  readonly requestContext: DisconnectRequestContext;
  readonly stageVariables?: StageVariables;
  readonly isBase64Encoded: false;
}

export type WebSocketEvent = ConnectEvent | MessageEvent | DisconnectEvent;

/** The event of a REQUEST authorizer: the CONNECT event and the method to authorize. */
export interface AuthorizerEvent extends ConnectEvent {
  readonly type: "REQUEST";
  /** `arn:aws:execute-api:{region}:{account}:{api}/{stage}/$connect` */
  readonly methodArn: string;
}

export function isConnectEvent(event: WebSocketEvent): event is ConnectEvent {
  return event.requestContext.eventType === "CONNECT";
}

export function isMessageEvent(event: WebSocketEvent): event is MessageEvent {
  return event.requestContext.eventType === "MESSAGE";
}

export function isDisconnectEvent(event: WebSocketEvent): event is DisconnectEvent {
  return event.requestContext.eventType === "DISCONNECT";
}

/** Whether an unknown value, such as a Lambda's first argument, is one of the three events. */
export function isWebSocketEvent(value: unknown): value is WebSocketEvent {
  if (!isObject(value) || !isObject(value.requestContext)) return false;
  const { connectionId, eventType, routeKey } = value.requestContext;
  if (typeof connectionId !== "string" || typeof routeKey !== "string") return false;
  return (
    eventType === "CONNECT" || eventType === "DISCONNECT" || (eventType === "MESSAGE" && "body" in value)
  );
}

export function isAuthorizerEvent(value: unknown): value is AuthorizerEvent {
  return (
    isObject(value) &&
    value.type === "REQUEST" &&
    typeof value.methodArn === "string" &&
    isWebSocketEvent(value)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
