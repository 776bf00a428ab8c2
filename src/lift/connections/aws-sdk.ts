import {
  ApiGatewayManagementApiClient,
  type ApiGatewayManagementApiClientConfig,
  DeleteConnectionCommand,
  GetConnectionCommand,
  type GetConnectionCommandOutput,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import type { ConnectionInfo } from "../../apigw/index.ts";
import { parseRegion } from "../../aws/index.ts";
import type { OpenTransport } from "./transport.ts";

/**
 * Calls the @connections API through the AWS SDK, with its credential chain. It creates one client per endpoint and turns
 * the SDK's retries off, because `awsConnections` retries.
 * @param config further options of the SDK's client
 * @example
 * const connections = (endpoint: string) => awsConnections({ endpoint, transport: sdkTransport() });
 * const app = new Lift({ connections });
 */
export function sdkTransport(config: ApiGatewayManagementApiClientConfig = {}): OpenTransport {
  return ({ endpoint, region = parseRegion(endpoint), credentials, sockets }) => {
    const agent = { keepAlive: true, maxSockets: sockets };
    const client = new ApiGatewayManagementApiClient({
      endpoint,
      ...(region === undefined ? {} : { region }),
      ...(credentials === undefined ? {} : { credentials }),
      requestHandler: { httpAgent: agent, httpsAgent: agent },
      ...config,
      maxAttempts: 1,
    });
    return {
      post: (ConnectionId, { data: Data }, abortSignal) =>
        client.send(new PostToConnectionCommand({ ConnectionId, Data }), { abortSignal }),
      delete: (ConnectionId, abortSignal) =>
        client.send(new DeleteConnectionCommand({ ConnectionId }), { abortSignal }),
      get: async (ConnectionId, abortSignal) =>
        toConnectionInfo(await client.send(new GetConnectionCommand({ ConnectionId }), { abortSignal })),
    };
  };
}

function toConnectionInfo({
  ConnectedAt,
  LastActiveAt,
  Identity,
}: GetConnectionCommandOutput): ConnectionInfo {
  const userAgent = Identity?.UserAgent;
  return {
    connectedAt: ConnectedAt?.getTime() ?? 0,
    lastActiveAt: LastActiveAt?.getTime() ?? 0,
    identity: { sourceIp: Identity?.SourceIp ?? "", ...(userAgent === undefined ? {} : { userAgent }) },
  };
}
