import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { ConnectionTable } from "./connections.ts";
import { type Log, log as logJson } from "./log.ts";
import { RequestTable } from "./requests.ts";
import { Sender } from "./send.ts";

export interface ServiceOptions {
  readonly client: DynamoDBClient;
  readonly connectionTable: string;
  readonly requestTable: string;
  /** Endpoint of @connections. Default: the one of the event. Set it for a custom domain. */
  readonly endpoint?: string | undefined;
  readonly log?: Log;
}

export type Services = ReturnType<typeof createServices>;

export function createServices({
  client,
  connectionTable,
  requestTable,
  endpoint,
  log = logJson,
}: ServiceOptions) {
  const connections = new ConnectionTable(client, connectionTable);
  return {
    connections,
    requests: new RequestTable(client, requestTable),
    sender: new Sender(connections, log),
    log,
    endpointOf: ({ domainName, stage }: { readonly domainName: string; readonly stage: string }) =>
      endpoint ?? `https://${domainName}/${stage}`,
  };
}
