import type { ConnectEvent } from "../../apigw/index.ts";

/** A list of subprotocols with this in it carries the token next: `new WebSocket(url, ["bearer", token])`. */
const MARKER = "bearer";

const QUERY_NAMES = ["Authorization", "authorization", "token"];

/**
 * The token of an upgrade request: of the `Authorization` header, which browsers can't set, else of the
 * `Sec-WebSocket-Protocol` list after `bearer`, else of the query's `Authorization` or `token`.
 */
export function tokenOf(event: ConnectEvent): string | undefined {
  return withoutScheme(headerOf(event, "authorization")) ?? protocolToken(event) ?? queryToken(event);
}

/** A one-time ticket, which is no token: it is of no use a second time. */
export function ticketOf({ queryStringParameters: query = {} }: ConnectEvent): string | undefined {
  return Object.hasOwn(query, "ticket") ? query.ticket : undefined;
}

/**
 * What to answer to a client that offered its token as a subprotocol: browsers close a socket whose offer was not
 * taken up. The first of the application's own that was offered, else the marker; never the token.
 */
export function chosenProtocol(event: ConnectEvent, protocols: readonly string[]): string | undefined {
  const offered = offeredProtocols(event);
  const marker = markerAt(offered);
  if (marker === -1) return undefined;
  offered.splice(marker + 1, 1);
  return offered.find((protocol) => protocols.includes(protocol)) ?? offered[marker];
}

function protocolToken(event: ConnectEvent): string | undefined {
  const offered = offeredProtocols(event);
  const marker = markerAt(offered);
  return marker === -1 ? undefined : offered[marker + 1];
}

function queryToken({ queryStringParameters: query = {} }: ConnectEvent): string | undefined {
  const name = QUERY_NAMES.find((name) => Object.hasOwn(query, name));
  return name === undefined ? undefined : withoutScheme(query[name]);
}

function offeredProtocols(event: ConnectEvent): string[] {
  const list = headerOf(event, "sec-websocket-protocol") ?? "";
  return list
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
}

function markerAt(offered: readonly string[]): number {
  return offered.findIndex((protocol) => protocol.toLowerCase() === MARKER);
}

function headerOf(event: ConnectEvent, lowerCaseName: string): string | undefined {
  return Object.entries(event.headers).find(([name]) => name.toLowerCase() === lowerCaseName)?.[1];
}

/** `Bearer x` and `x` are x; `Basic x` is no token. */
function withoutScheme(value: string | undefined): string | undefined {
  return /^(?:bearer +)?(\S+)$/i.exec(value?.trim() ?? "")?.[1];
}
