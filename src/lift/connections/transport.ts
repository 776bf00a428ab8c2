import type { ConnectionInfo } from "../../apigw/index.ts";
import {
  type AwsCredentials,
  type AwsCredentialsProvider,
  AwsEndpoint,
  type Payload,
} from "../../aws/index.ts";

/**
 * Calls the @connections API. Each call is one attempt, without retries. It rejects with an error that has the service's
 * exception as its `name`, and the status in `$metadata`.
 */
export interface ConnectionsTransport {
  /** Sends a message to a connection. */
  post(connectionId: string, payload: Payload, signal: AbortSignal): Promise<unknown>;
  /** Returns information about a connection. */
  get(connectionId: string, signal: AbortSignal): Promise<ConnectionInfo>;
  /** Closes a connection. */
  delete(connectionId: string, signal: AbortSignal): Promise<unknown>;
}

/** Target of a transport, from the options of `awsConnections`. */
export interface TransportTarget {
  /** URL of the API and its stage. */
  readonly endpoint: string;
  /** AWS region to sign for. `undefined`: the one in the endpoint, else `AWS_REGION`. */
  readonly region: string | undefined;
  /** `undefined`: the credentials in the function's environment. */
  readonly credentials: AwsCredentials | AwsCredentialsProvider | undefined;
  /** Most sockets to keep open. */
  readonly sockets: number;
}

/** Creates the transport of one endpoint. `sdkTransport()` of `lift-ws/aws-sdk` returns one. */
export type OpenTransport = (target: TransportTarget) => ConnectionsTransport;

/** Sends signed requests with Node's own HTTP client. */
export function httpTransport({ sockets, ...target }: TransportTarget): ConnectionsTransport {
  const api = new AwsEndpoint({ ...target, service: "execute-api", maxSockets: sockets });
  const pathOf = (id: string) => `/@connections/${encodeURIComponent(id)}`;
  return {
    post: (id, payload, signal) => api.send({ method: "POST", path: pathOf(id), payload, signal }),
    delete: (id, signal) => api.send({ method: "DELETE", path: pathOf(id), signal }),
    get: async (id, signal) => readInfo(await api.send({ method: "GET", path: pathOf(id), signal })),
  };
}

function readInfo(body: string): ConnectionInfo {
  const { connectedAt, lastActiveAt, identity } = JSON.parse(body);
  return {
    connectedAt: Date.parse(connectedAt),
    lastActiveAt: Date.parse(lastActiveAt),
    identity: {
      sourceIp: identity.sourceIp,
      ...(identity.userAgent === undefined ? {} : { userAgent: identity.userAgent }),
    },
  };
}
