import type { Connections, WebSocketEvent } from "../apigw/index.ts";
import { awsConnectionsAt } from "./connections-aws.ts";
import type { Settings } from "./options.ts";

/** The endpoint by which an event's API is reached: of a custom domain too, as long as it maps the stage. */
export function endpointOf(event: WebSocketEvent): string {
  return `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
}

export function connectionsOf(event: WebSocketEvent, settings: Settings): Connections {
  return settings.connections ?? awsConnectionsAt(endpointOf(event));
}
