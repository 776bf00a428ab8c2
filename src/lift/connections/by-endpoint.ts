import type { Connections, WebSocketEvent } from "../../apigw/index.ts";
import type { Settings } from "../options.ts";
import { awsConnections } from "./aws.ts";

/** Gives the connections behind an endpoint. */
export type ConnectionsAt = (endpoint: string) => Connections;

/** The endpoint by which an event's API is reached: of a custom domain too, as long as it maps the stage. */
export function endpointOf(event: WebSocketEvent): string {
  return `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
}

export function connectionsOf(event: WebSocketEvent, settings: Settings): Connections {
  return connectionsAt(endpointOf(event), settings);
}

/** @param endpoint as an event or a row names it */
export function connectionsAt(endpoint: string, settings: Settings): Connections {
  const { connections, connectionsAt } = settings;
  // As the AWS SDK does for code that names no endpoint. Not read for each reply where it is of no use: it is slow.
  return connections ?? connectionsAt(process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI ?? endpoint);
}

/** An application has an endpoint for each stage and domain; rows that name more must not fill the memory. */
const MAX_ENDPOINTS = 100;

/** Asks once for each endpoint and keeps the answer, with its sockets; the endpoint used last is forgotten last. */
export function memoizeByEndpoint(connectionsAt: ConnectionsAt): ConnectionsAt {
  const known = new Map<string, Connections>();
  let last: string | undefined;
  return (endpoint) => {
    const connections = known.get(endpoint) ?? connectionsAt(endpoint);
    if (endpoint === last) return connections;
    last = endpoint;
    known.delete(endpoint);
    known.set(endpoint, connections);
    for (const oldest of known.keys()) {
      if (known.size <= MAX_ENDPOINTS) break;
      known.delete(oldest);
    }
    return connections;
  };
}

export const awsConnectionsAt: ConnectionsAt = memoizeByEndpoint((endpoint) => awsConnections({ endpoint }));
