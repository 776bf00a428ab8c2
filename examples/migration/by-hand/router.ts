import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { answerMessage } from "./messages.ts";
import type { Services } from "./services.ts";

/** Handles `$default`: every message of a client. */
export function createRouter(services: Services) {
  return async ({ requestContext, body }: APIGatewayProxyWebsocketEventV2) => {
    const { connectionId, requestId } = requestContext;
    const { frame, statusCode } = await answerMessage({ connectionId, requestId, body }, services);
    await services.sender.send({ connectionId, endpoint: services.endpointOf(requestContext) }, frame);
    return { statusCode };
  };
}
