import type { Connections, WebSocketEvent } from "../../apigw/index.ts";

/** Returns the @connections API of an endpoint, such as `https://{domain}/{stage}`. */
export type ConnectionsAt = (endpoint: string) => Connections;

/** The settings that decide which @connections API is used. */
export interface ConnectionsSource {
  /** One API for all events. It takes precedence. */
  readonly connections: Connections | undefined;
  readonly connectionsAt: ConnectionsAt;
}

/** Returns the endpoint of an event's API. A custom domain works too, provided that it maps the stage. */
export function endpointOf(event: WebSocketEvent): string {
  return `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
}

export function connectionsOf(event: WebSocketEvent, source: ConnectionsSource): Connections {
  return source.connections ?? connectionsAt(endpointOf(event), source);
}

/** @param endpoint as `endpointOf` returns it, or as a connection's row has it */
export function connectionsAt(
  endpoint: string,
  { connections, connectionsAt }: ConnectionsSource,
): Connections {
  // The AWS SDK honours this variable too. Read only when needed, because process.env is slow.
  return connections ?? connectionsAt(process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI ?? endpoint);
}

/** An app has one endpoint per stage and domain. The limit keeps rows with other endpoints from filling the memory. */
const MAX_ENDPOINTS = 100;

/** Calls `connectionsAt` once per endpoint and caches the result, sockets included. Evicts the least recently used. */
export function memoizeByEndpoint(connectionsAt: ConnectionsAt): ConnectionsAt {
  const cache = new Map<string, Connections>();
  let last: string | undefined;
  return (endpoint) => {
    const connections = cache.get(endpoint) ?? connectionsAt(endpoint);
    if (endpoint === last) return connections;
    last = endpoint;
    cache.delete(endpoint);
    cache.set(endpoint, connections);
    for (const oldest of cache.keys()) {
      if (cache.size <= MAX_ENDPOINTS) break;
      cache.delete(oldest);
    }
    return connections;
  };
}
