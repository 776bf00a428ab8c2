import type { ConnectEvent } from "../../../apigw/index.ts";

/** Subprotocol that precedes the token in the list: `new WebSocket(url, ["bearer", token])`. */
const MARKER = "bearer";

const QUERY_NAMES = ["Authorization", "authorization", "token"];

/**
 * Reads a token from a header, a query or a message, with or without the scheme `Bearer` and surrounding space. All tokens
 * from clients are read with this function.
 * @returns `undefined` for anything else, such as an empty text, another scheme, or `Bearer` alone
 */
export function readToken(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const token = /^(?:bearer\s+)?(\S+)$/i.exec(value.trim())?.[1];
  return token?.toLowerCase() === MARKER ? undefined : token;
}

/**
 * Returns the token of an upgrade request: from the `Authorization` header, which browsers cannot set, else from the
 * `Sec-WebSocket-Protocol` list after `bearer`, else from the query's `Authorization` or `token`.
 */
export function tokenFromRequest(event: ConnectEvent): string | undefined {
  return (
    lastToken(headerValues(event, "authorization")) ?? tokenFromProtocols(event) ?? tokenFromQuery(event)
  );
}

/** Returns the one-time ticket of an upgrade request. An empty ticket counts as one, and is refused. */
export function ticketFromRequest(event: ConnectEvent): string | undefined {
  return queryValues(event, "ticket").at(-1);
}

/**
 * Chooses the subprotocol for a client that offered its token as one: the first of the application's own, else the marker,
 * never the token. Browsers close a socket when none of their subprotocols is accepted.
 */
export function chooseProtocol(event: ConnectEvent, protocols: readonly string[]): string | undefined {
  const offered = offeredProtocols(event);
  const marker = markerAt(offered);
  if (marker === -1) return undefined;
  offered.splice(marker + 1, 1);
  return offered.find((protocol) => protocols.includes(protocol)) ?? offered[marker];
}

function tokenFromProtocols(event: ConnectEvent): string | undefined {
  const offered = offeredProtocols(event);
  const marker = markerAt(offered);
  return marker === -1 ? undefined : readToken(offered[marker + 1]);
}

function tokenFromQuery(event: ConnectEvent): string | undefined {
  for (const name of QUERY_NAMES) {
    const token = lastToken(queryValues(event, name));
    if (token !== undefined) return token;
  }
  return undefined;
}

/** Returns the last token, because `headers` and `queryStringParameters` have the last of several values, too. */
function lastToken(values: readonly string[]): string | undefined {
  return values.map(readToken).findLast((token) => token !== undefined);
}

/** Several header lines form one list: RFC 6455, section 4.1. */
function offeredProtocols(event: ConnectEvent): string[] {
  return headerValues(event, "sec-websocket-protocol")
    .flatMap((line) => line.split(","))
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
}

function markerAt(offered: readonly string[]): number {
  return offered.findIndex((protocol) => protocol.toLowerCase() === MARKER);
}

/** Returns all lines of a header; its name is case-insensitive. A hand-made event may lack the multi-value lists. */
function headerValues(
  { headers, multiValueHeaders }: ConnectEvent,
  lowerCaseName: string,
): readonly string[] {
  const valuesIn = (fields: { readonly [name: string]: string | readonly string[] }) =>
    Object.entries(fields)
      .filter(([name]) => name.toLowerCase() === lowerCaseName)
      .flatMap(([, value]) => value);
  const all = valuesIn(multiValueHeaders ?? {});
  return all.length > 0 ? all : valuesIn(headers);
}

function queryValues(event: ConnectEvent, name: string): readonly string[] {
  const { queryStringParameters, multiValueQueryStringParameters } = event;
  for (const fields of [multiValueQueryStringParameters, queryStringParameters]) {
    if (fields && Object.hasOwn(fields, name)) return [fields[name] ?? []].flat();
  }
  return [];
}
