import type { ConnectionInfo } from "../../apigw/index.ts";
import {
  type AwsCredentials,
  type AwsCredentialsProvider,
  AwsEndpoint,
  type Payload,
} from "../../aws/index.ts";

/**
 * How calls of @connections are made: one attempt each, never repeated. Rejects with an error that has the service's
 * exception as its `name`, and the status in `$metadata`.
 */
export interface ConnectionsTransport {
  post(connectionId: string, payload: Payload, signal: AbortSignal): Promise<unknown>;
  get(connectionId: string, signal: AbortSignal): Promise<ConnectionInfo>;
  delete(connectionId: string, signal: AbortSignal): Promise<unknown>;
}

/** Where a transport leads, as `awsConnections` was told. */
export interface TransportTarget {
  readonly endpoint: string;
  readonly region: string | undefined;
  readonly credentials: AwsCredentials | AwsCredentialsProvider | undefined;
  /** Connections to keep at most. */
  readonly sockets: number;
}

export type OpenTransport = (target: TransportTarget) => ConnectionsTransport;

/** Signed requests over Node's own HTTP. */
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
