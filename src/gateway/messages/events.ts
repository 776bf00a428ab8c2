import type { IncomingMessage } from "node:http";
import type {
  AuthorizerEvent,
  ConnectEvent,
  DisconnectEvent,
  Identity,
  MessageEvent,
} from "../../apigw/index.ts";
import type { ConnectionDetails } from "../connection-details.ts";
import type { GatewaySettings } from "../options.ts";
import { createId, createTransientId } from "../sockets/ids.ts";

/** Every client sends these two headers, but the service's CONNECT events lack them. They have all other headers. */
const DROPPED_HEADERS: ReadonlySet<string> = new Set(["connection", "upgrade"]);

/** The documented input of an authorizer has these three headers and values besides the client's headers. */
const AUTHORIZER_HEADERS = { Connection: "upgrade", "content-length": "0", Upgrade: "websocket" };

export function createConnectEvent(
  request: IncomingMessage,
  details: ConnectionDetails,
  settings: GatewaySettings,
): ConnectEvent {
  const multiValueHeaders = readHeaders(request, details);
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
      ...(details.authorizer && { authorizer: { ...details.authorizer } }),
      eventType: "CONNECT",
      ...requestFields(settings, createId()),
      ...connectionFields(details),
      stage: settings.stage,
      apiId: settings.apiId,
    },
    ...(settings.stageVariables && { stageVariables: { ...settings.stageVariables } }),
    isBase64Encoded: false,
  };
}

export function createAuthorizerEvent(event: ConnectEvent, settings: GatewaySettings): AuthorizerEvent {
  const multiValueHeaders = { ...event.multiValueHeaders };
  for (const [name, value] of Object.entries(AUTHORIZER_HEADERS)) {
    const exists = Object.keys(multiValueHeaders).some((key) => key.toLowerCase() === name.toLowerCase());
    if (!exists) multiValueHeaders[name] = [value];
  }
  return {
    type: "REQUEST",
    methodArn: connectArn(settings),
    ...event,
    headers: mapValues(multiValueHeaders, (values) => values.at(-1)!),
    multiValueHeaders,
  };
}

/** Returns `arn:aws:execute-api:{region}:{account}:{api}/{stage}/$connect`. */
export function connectArn({ region, accountId, apiId, stage }: GatewaySettings): string {
  return `arn:aws:execute-api:${region}:${accountId}:${apiId}/${stage}/$connect`;
}

/** Creates a MESSAGE event. Written out as one object literal for speed, because it runs for every message. */
export function createMessageEvent(
  body: string,
  routeKey: string,
  requestId: string,
  details: ConnectionDetails,
  now: number,
  settings: GatewaySettings,
): MessageEvent {
  const requestContext: {
    -readonly [K in keyof MessageEvent["requestContext"]]: MessageEvent["requestContext"][K];
  } = {
    routeKey,
    messageId: createTransientId(),
    eventType: "MESSAGE",
    extendedRequestId: requestId,
    requestTime: formatRequestTime(now),
    messageDirection: "IN",
    stage: settings.stage,
    connectedAt: details.connectedAt,
    requestTimeEpoch: now,
    identity: toIdentity(details),
    requestId,
    domainName: details.domainName,
    connectionId: details.connectionId,
    apiId: settings.apiId,
  };
  if (details.authorizer) requestContext.authorizer = { ...details.authorizer };
  if (!settings.stageVariables) return { requestContext, body, isBase64Encoded: false };
  return { requestContext, stageVariables: { ...settings.stageVariables }, body, isBase64Encoded: false };
}

export function createDisconnectEvent(
  code: number,
  reason: string,
  requestId: string,
  details: ConnectionDetails,
  settings: GatewaySettings,
): DisconnectEvent {
  const headers = { Host: details.domainName, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" };
  return {
    headers,
    multiValueHeaders: mapValues(headers, (value) => [value]),
    requestContext: {
      routeKey: "$disconnect",
      disconnectStatusCode: code,
      ...(details.authorizer && { authorizer: { ...details.authorizer } }),
      eventType: "DISCONNECT",
      ...requestFields(settings, requestId),
      disconnectReason: reason,
      ...connectionFields(details),
      stage: settings.stage,
      apiId: settings.apiId,
    },
    ...(settings.stageVariables && { stageVariables: { ...settings.stageVariables } }),
    isBase64Encoded: false,
  };
}

function requestFields(settings: GatewaySettings, requestId: string) {
  const now = settings.clock.now();
  return {
    extendedRequestId: requestId,
    requestTime: formatRequestTime(now),
    messageDirection: "IN" as const,
    requestTimeEpoch: now,
    requestId,
  };
}

function connectionFields(details: ConnectionDetails) {
  return {
    connectedAt: details.connectedAt,
    identity: toIdentity(details),
    domainName: details.domainName,
    connectionId: details.connectionId,
  };
}

function toIdentity({ sourceIp, userAgent }: ConnectionDetails): Identity {
  return userAgent === undefined ? { sourceIp } : { userAgent, sourceIp };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

let formattedSecond = Number.NaN;
let formatted = "";

/** Formats a time in common log format and UTC: `31/Aug/2022:13:34:52 +0000`. Cached for a second. */
function formatRequestTime(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second === formattedSecond) return formatted;
  const date = new Date(second * 1000);
  const day = String(date.getUTCDate()).padStart(2, "0");
  formatted = `${day}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:${date.toISOString().slice(11, 19)} +0000`;
  formattedSecond = second;
  return formatted;
}

/** Returns the client's headers in their original spelling, and the headers that the service's front end adds. */
function readHeaders(
  request: IncomingMessage,
  { sourceIp }: ConnectionDetails,
): { [name: string]: string[] } {
  const headers = new HeaderLines();
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (!DROPPED_HEADERS.has(name.toLowerCase())) headers.append(name, rawHeaders[i + 1]!);
  }
  const forwarded = [...headers.valuesOf("X-Forwarded-For"), sourceIp].join(", ");
  headers.set("X-Forwarded-For", [forwarded]);
  headers.set("X-Forwarded-Port", [String(request.socket.localPort)]);
  headers.set("X-Forwarded-Proto", ["encrypted" in request.socket ? "https" : "http"]);
  const [trace = createTraceId()] = headers.valuesOf("X-Amzn-Trace-Id");
  headers.set("X-Amzn-Trace-Id", [trace]);
  return headers.toObject();
}

/** Headers by case-insensitive name. A repeated name keeps its first spelling. */
class HeaderLines {
  readonly #lines = new Map<string, { readonly name: string; readonly values: string[] }>();

  append(name: string, value: string): void {
    const key = name.toLowerCase();
    const line = this.#lines.get(key);
    if (line) line.values.push(value);
    else this.#lines.set(key, { name, values: [value] });
  }

  valuesOf(name: string): readonly string[] {
    return this.#lines.get(name.toLowerCase())?.values ?? [];
  }

  set(name: string, values: string[]): void {
    this.#lines.set(name.toLowerCase(), { name, values });
  }

  toObject(): { [name: string]: string[] } {
    return Object.fromEntries([...this.#lines.values()].map(({ name, values }) => [name, values]));
  }
}

function createTraceId(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
}

function readQuery(url: string): { [name: string]: string[] } | undefined {
  const start = url.indexOf("?");
  if (start === -1) return undefined;
  const query = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(url.slice(start))) append(query, name, value);
  // Object.fromEntries defines properties, so a parameter named __proto__ stays a parameter.
  return query.size === 0 ? undefined : Object.fromEntries(query);
}

function append(map: Map<string, string[]>, name: string, value: string): void {
  const values = map.get(name);
  if (values) values.push(value);
  else map.set(name, [value]);
}

function mapValues<In, Out>(
  object: { readonly [name: string]: In },
  map: (value: In) => Out,
): { [name: string]: Out } {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]));
}
