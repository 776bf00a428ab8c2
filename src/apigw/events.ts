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

/** The client of a connection, as API Gateway reports it. */
export interface Identity {
  /** The client's IP address. */
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

/** The request context of a CONNECT event. */
export interface ConnectRequestContext extends RequestContextBase {
  /** Always `$connect`. */
  readonly routeKey: "$connect";
  /** Always `CONNECT`. */
  readonly eventType: "CONNECT";
}

/** The request context of a MESSAGE event. */
export interface MessageRequestContext extends RequestContextBase {
  /** Always `MESSAGE`. */
  readonly eventType: "MESSAGE";
  /** The id of the message. */
  readonly messageId: string;
}

/** The request context of a DISCONNECT event. */
export interface DisconnectRequestContext extends RequestContextBase {
  /** Always `$disconnect`. */
  readonly routeKey: "$disconnect";
  /** Always `DISCONNECT`. */
  readonly eventType: "DISCONNECT";
  /** The close code: the client's own, or the service's. */
  readonly disconnectStatusCode: number;
  /** The reason in the close frame; empty if there is none. */
  readonly disconnectReason: string;
}

/** Headers by name, one value each. */
export type Headers = { readonly [name: string]: string };
/** Headers by name, with all values. */
export type MultiValueHeaders = { readonly [name: string]: readonly string[] };
/** The stage's variables by name. */
export type StageVariables = { readonly [name: string]: string };

/** The event of `$connect`. */
export interface ConnectEvent {
  /** The client's headers, each name in the client's own case. A repeated header has its last value. */
  readonly headers: Headers;
  /** The client's headers with all values of repeated ones. */
  readonly multiValueHeaders: MultiValueHeaders;
  /** Absent when the URL has no query. */
  readonly queryStringParameters?: { readonly [name: string]: string };
  /** The query parameters with all values. Absent without a query. */
  readonly multiValueQueryStringParameters?: { readonly [name: string]: readonly string[] };
  /** The connection, and the request that opens it. */
  readonly requestContext: ConnectRequestContext;
  /** The stage's variables. Absent if it has none. */
  readonly stageVariables?: StageVariables;
  /** Always `false`. */
  readonly isBase64Encoded: false;
}

/** The event of a message from a client. */
export interface MessageEvent {
  /** The connection, and the message's ids. */
  readonly requestContext: MessageRequestContext;
  /** The stage's variables. Absent if it has none. */
  readonly stageVariables?: StageVariables;
  /** The message's text, unparsed. */
  readonly body: string;
  /** Always `false`: the service accepts text messages only. */
  readonly isBase64Encoded: false;
}

/** The event of `$disconnect`. */
export interface DisconnectEvent {
  /** A stub: `Host`, and three empty headers. */
  readonly headers: Headers;
  /** The same headers as in `headers`, as lists. */
  readonly multiValueHeaders: MultiValueHeaders;
  /** The connection, and its close code and reason. */
  readonly requestContext: DisconnectRequestContext;
  /** The stage's variables. Absent if it has none. */
  readonly stageVariables?: StageVariables;
  /** Always `false`. */
  readonly isBase64Encoded: false;
}

/** Any event that API Gateway sends for a connection. */
export type WebSocketEvent = ConnectEvent | MessageEvent | DisconnectEvent;

/** The event of a REQUEST authorizer: the CONNECT event and the method to authorize. */
export interface AuthorizerEvent extends ConnectEvent {
  /** Always `REQUEST`. */
  readonly type: "REQUEST";
  /** `arn:aws:execute-api:{region}:{account}:{api}/{stage}/$connect` */
  readonly methodArn: string;
}

/**
 * Tells whether an event is a CONNECT event.
 * @example
 * if (isConnectEvent(event)) console.log(event.headers);
 */
export function isConnectEvent(event: WebSocketEvent): event is ConnectEvent {
  return event.requestContext.eventType === "CONNECT";
}

/**
 * Tells whether an event is a MESSAGE event.
 * @example
 * if (isMessageEvent(event)) console.log(event.body);
 */
export function isMessageEvent(event: WebSocketEvent): event is MessageEvent {
  return event.requestContext.eventType === "MESSAGE";
}

/**
 * Tells whether an event is a DISCONNECT event.
 * @example
 * if (isDisconnectEvent(event)) console.log(event.requestContext.disconnectStatusCode);
 */
export function isDisconnectEvent(event: WebSocketEvent): event is DisconnectEvent {
  return event.requestContext.eventType === "DISCONNECT";
}

/**
 * Whether an unknown value, such as a Lambda's first argument, is one of the three events.
 * @example
 * if (!isWebSocketEvent(event)) throw new Error("Not a WebSocket event");
 */
export function isWebSocketEvent(value: unknown): value is WebSocketEvent {
  if (!isObject(value) || !isObject(value.requestContext)) return false;
  const { connectionId, eventType, routeKey } = value.requestContext;
  if (typeof connectionId !== "string" || typeof routeKey !== "string") return false;
  return (
    eventType === "CONNECT" || eventType === "DISCONNECT" || (eventType === "MESSAGE" && "body" in value)
  );
}

/**
 * Tells whether a value is the event of a REQUEST authorizer.
 * @example
 * if (isAuthorizerEvent(event)) console.log(event.methodArn);
 */
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
