import type { Connections, WebSocketEvent } from "../apigw/index.ts";
import { awsConnections } from "./connections-aws.ts";
import type { Settings } from "./options.ts";

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

/** Asks once for each endpoint: what it gives is kept, as its sockets are, while the function's container lives. */
export function kept(connectionsAt: ConnectionsAt): ConnectionsAt {
  const known = new Map<string, Connections>();
  return (endpoint) => {
    const connections = known.get(endpoint) ?? connectionsAt(endpoint);
    known.set(endpoint, connections);
    return connections;
  };
}

export const awsConnectionsAt: ConnectionsAt = kept((endpoint) => awsConnections({ endpoint }));
