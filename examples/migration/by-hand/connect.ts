import type { APIGatewayProxyEventQueryStringParameters, APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { type AuthOptions, tokenOf, verifyToken } from "./auth.ts";
import type { Services } from "./services.ts";

/** The types of `aws-lambda` leave these out. */
type ConnectEvent = APIGatewayProxyWebsocketEventV2 & {
  readonly queryStringParameters?: APIGatewayProxyEventQueryStringParameters;
  readonly requestContext: { readonly identity?: { readonly sourceIp?: string } };
};

/** Handles `$connect`. A refused client gets 401 on the upgrade, and no row. */
export function createConnect(services: Services, auth: AuthOptions) {
  const { connections, log } = services;
  return async ({ requestContext, queryStringParameters: query }: ConnectEvent) => {
    const { connectionId, connectedAt, identity: caller } = requestContext;
    const token = tokenOf(query);
    const identity = token === undefined ? undefined : await verifyToken(token, auth);
    if (identity === undefined) {
      log("warn", "A connection was refused", { connectionId });
      return { statusCode: 401 };
    }
    try {
      const endpoint = services.endpointOf(requestContext);
      const sourceIp = caller?.sourceIp ?? "";
      await connections.save({ ...identity, id: connectionId, endpoint, connectedAt, sourceIp });
    } catch (error) {
      log("error", "A connection was not stored", { connectionId, error });
      return { statusCode: 500 };
    }
    log("info", "Connected", { connectionId, userId: identity.userId, tenantId: identity.tenantId });
    return { statusCode: 200 };
  };
}
