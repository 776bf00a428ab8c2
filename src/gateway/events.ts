import type { IncomingMessage } from "node:http";
import type {
  AuthorizerContext,
  AuthorizerEvent,
  ConnectEvent,
  DisconnectEvent,
  Identity,
  MessageEvent,
} from "../apigw/index.ts";
import { newId, newTransientId } from "./ids.ts";
import type { GatewaySettings } from "./options.ts";

/** What every event of one connection has in common. */
export interface Origin {
  readonly connectionId: string;
  readonly connectedAt: number;
  readonly sourceIp: string;
  readonly userAgent: string | undefined;
  readonly domainName: string;
  readonly authorizer: AuthorizerContext | undefined;
}

/** Headers that belong to the hop, not to the request; the service does not pass them on. */
const HOP_HEADERS: ReadonlySet<string> = new Set(["connection", "upgrade", "keep-alive", "proxy-connection"]);

export function connectEvent(
  request: IncomingMessage,
  origin: Origin,
  settings: GatewaySettings,
): ConnectEvent {
  const multiValueHeaders = readHeaders(request, origin);
  const query = readQuery(request.url ?? "/");
  return {
    headers: mapValues(multiValueHeaders, (values) => values.at(-1)!),
    multiValueHeaders,
    ...(query && {
      queryStringParameters: mapValues(query, (values) => values.at(-1)!),
      multiValueQueryStringParameters: query,
    }),
    requestContext: {
      routeKey: "$connect",
      ...(origin.authorizer && { authorizer: { ...origin.authorizer } }),
      eventType: "CONNECT",
      ...requestPart(settings, newId()),
      ...connectionPart(origin),
      stage: settings.stage,
      apiId: settings.apiId,
    },
    ...(settings.stageVariables && { stageVariables: { ...settings.stageVariables } }),
    isBase64Encoded: false,
  };
}

export function authorizerEvent(event: ConnectEvent, settings: GatewaySettings): AuthorizerEvent {
  return { type: "REQUEST", methodArn: connectArn(settings), ...event };
}

/** `arn:aws:execute-api:{region}:{account}:{api}/{stage}/$connect` */
export function connectArn({ region, accountId, apiId, stage }: GatewaySettings): string {
  return `arn:aws:execute-api:${region}:${accountId}:${apiId}/${stage}/$connect`;
}

/** One object literal, written out: this runs for every message. */
export function messageEvent(
  body: string,
  routeKey: string,
  requestId: string,
  origin: Origin,
  now: number,
  settings: GatewaySettings,
): MessageEvent {
  const requestContext: {
    -readonly [K in keyof MessageEvent["requestContext"]]: MessageEvent["requestContext"][K];
  } = {
    routeKey,
    messageId: newTransientId(),
    eventType: "MESSAGE",
    extendedRequestId: requestId,
    requestTime: requestTime(now),
    messageDirection: "IN",
    stage: settings.stage,
    connectedAt: origin.connectedAt,
    requestTimeEpoch: now,
    identity: identity(origin),
    requestId,
    domainName: origin.domainName,
    connectionId: origin.connectionId,
    apiId: settings.apiId,
  };
  if (origin.authorizer) requestContext.authorizer = { ...origin.authorizer };
  if (!settings.stageVariables) return { requestContext, body, isBase64Encoded: false };
  return { requestContext, stageVariables: { ...settings.stageVariables }, body, isBase64Encoded: false };
}

export function disconnectEvent(
  code: number,
  reason: string,
  requestId: string,
  origin: Origin,
  settings: GatewaySettings,
): DisconnectEvent {
  const headers = { Host: origin.domainName, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" };
  return {
    headers,
    multiValueHeaders: mapValues(headers, (value) => [value]),
    requestContext: {
      routeKey: "$disconnect",
      disconnectStatusCode: code,
      ...(origin.authorizer && { authorizer: { ...origin.authorizer } }),
      eventType: "DISCONNECT",
      ...requestPart(settings, requestId),
      disconnectReason: reason,
      ...connectionPart(origin),
      stage: settings.stage,
      apiId: settings.apiId,
    },
    ...(settings.stageVariables && { stageVariables: { ...settings.stageVariables } }),
    isBase64Encoded: false,
  };
}

function requestPart(settings: GatewaySettings, requestId: string) {
  const now = settings.clock.now();
  return {
    extendedRequestId: requestId,
    requestTime: requestTime(now),
    messageDirection: "IN" as const,
    requestTimeEpoch: now,
    requestId,
  };
}

function connectionPart(origin: Origin) {
  return {
    connectedAt: origin.connectedAt,
    identity: identity(origin),
    domainName: origin.domainName,
    connectionId: origin.connectionId,
  };
}

function identity({ sourceIp, userAgent }: Origin): Identity {
  return userAgent === undefined ? { sourceIp } : { userAgent, sourceIp };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

let formattedSecond = Number.NaN;
let formatted = "";

/** Common log format, in UTC: `31/Aug/2022:13:34:52 +0000`. Made once a second. */
export function requestTime(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second === formattedSecond) return formatted;
  const date = new Date(second * 1000);
  const day = String(date.getUTCDate()).padStart(2, "0");
  formatted = `${day}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:${date.toISOString().slice(11, 19)} +0000`;
  formattedSecond = second;
  return formatted;
}

function readHeaders(request: IncomingMessage, { sourceIp }: Origin): { [name: string]: string[] } {
  const headers = new Map<string, string[]>();
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (HOP_HEADERS.has(name.toLowerCase())) continue;
    append(headers, canonical(name), rawHeaders[i + 1]!);
  }
  const tls = "encrypted" in request.socket;
  const forwarded = headers.get("X-Forwarded-For");
  headers.set("X-Forwarded-For", [forwarded ? `${forwarded.join(", ")}, ${sourceIp}` : sourceIp]);
  headers.set("X-Forwarded-Port", [String(request.socket.localPort)]);
  headers.set("X-Forwarded-Proto", [tls ? "https" : "http"]);
  if (!headers.has("X-Amzn-Trace-Id")) headers.set("X-Amzn-Trace-Id", [traceId()]);
  return Object.fromEntries(headers);
}

/** `sec-websocket-key` → `Sec-WebSocket-Key`: the case that the service hands headers on in. */
function canonical(name: string): string {
  return name
    .split("-")
    .map((word) =>
      /^websocket$/i.test(word) ? "WebSocket" : word.charAt(0).toUpperCase() + word.slice(1).toLowerCase(),
    )
    .join("-");
}

function traceId(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
}

function readQuery(url: string): { [name: string]: string[] } | undefined {
  const start = url.indexOf("?");
  if (start === -1) return undefined;
  const query = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(url.slice(start))) append(query, name, value);
  // fromEntries defines, it does not assign: a parameter called __proto__ stays a parameter.
  return query.size === 0 ? undefined : Object.fromEntries(query);
}

function append(map: Map<string, string[]>, name: string, value: string): void {
  const values = map.get(name);
  if (values) values.push(value);
  else map.set(name, [value]);
}

function mapValues<In, Out>(
  object: { [name: string]: In },
  map: (value: In) => Out,
): { [name: string]: Out } {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]));
}
