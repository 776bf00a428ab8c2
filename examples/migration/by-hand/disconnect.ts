import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import type { Services } from "./services.ts";

/** The types of `aws-lambda` leave these out. */
type DisconnectEvent = APIGatewayProxyWebsocketEventV2 & {
  readonly requestContext: { readonly disconnectStatusCode?: number; readonly disconnectReason?: string };
};

/** Handles `$disconnect`. The service may call it twice, or never: then TTL or a 410 deletes the row. */
export function createDisconnect({ connections, log }: Services) {
  return async ({ requestContext }: DisconnectEvent) => {
    const {
      connectionId,
      connectedAt,
      disconnectStatusCode: code,
      disconnectReason: reason,
    } = requestContext;
    try {
      await connections.delete(connectionId);
    } catch (error) {
      log("error", "A row was not deleted", { connectionId, error });
      return { statusCode: 500 };
    }
    log("info", "Disconnected", { connectionId, code, reason, ms: Date.now() - connectedAt });
    return { statusCode: 200 };
  };
}
