import { type Connections, MAX_INTEGRATION_TIMEOUT_MS, type WebSocketEvent } from "../apigw/index.ts";
import { awsConnectionsAt } from "./connections-aws.ts";
import type { Settings } from "./options.ts";

/** The endpoint by which an event's API is reached: of a custom domain too, as long as it maps the stage. */
export function endpointOf(event: WebSocketEvent): string {
  return `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
}

export function connectionsOf(event: WebSocketEvent, settings: Settings): Connections {
  return settings.connections ?? awsConnectionsAt(endpointOf(event));
}

/**
 * Removes the rows of connections that a send found gone. A row stands for a moment before its `$connect` has
 * finished, and answers gone too: a row that may be in that moment is left alone. Best effort: never rejects.
 */
export async function removeGone(connectionIds: readonly string[], settings: Settings): Promise<void> {
  const { store, logger, now } = settings;
  if (store === undefined) return;
  try {
    for (const id of connectionIds) {
      const row = await store.get(id);
      if (row !== undefined && now() - row.connectedAt > MAX_INTEGRATION_TIMEOUT_MS) await store.delete(id);
    }
  } catch (error) {
    logger.warn("The rows of gone connections were not removed", { error });
  }
}
