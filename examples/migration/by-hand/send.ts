import {
  ApiGatewayManagementApiClient,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import type { ConnectionTable } from "./connections.ts";
import type { Log } from "./log.ts";

/** A 429 is retried with backoff: five retries take about two seconds. */
const MAX_ATTEMPTS = 6;

export interface Recipient {
  readonly connectionId: string;
  readonly endpoint: string;
}

/** Sends frames to connections. Deletes the row of a connection that has gone. */
export class Sender {
  readonly #connections: ConnectionTable;
  readonly #log: Log;
  /** By endpoint: a stage or a custom domain has its own. */
  readonly #clients = new Map<string, ApiGatewayManagementApiClient>();

  constructor(connections: ConnectionTable, log: Log) {
    this.#connections = connections;
    this.#log = log;
  }

  /** Never rejects: a client that misses a frame reads the request's state. */
  async send({ connectionId, endpoint }: Recipient, frame: object): Promise<void> {
    const post = new PostToConnectionCommand({ ConnectionId: connectionId, Data: JSON.stringify(frame) });
    try {
      await this.#clientFor(endpoint).send(post);
    } catch (error) {
      if (error instanceof GoneException) {
        this.#log("info", "A connection has gone", { connectionId });
        await this.#connections.delete(connectionId).catch((cause: unknown) => {
          this.#log("error", "A row was not deleted", { connectionId, error: cause });
        });
      } else {
        this.#log("error", "A frame was not sent", { connectionId, error });
      }
    }
  }

  #clientFor(endpoint: string): ApiGatewayManagementApiClient {
    let client = this.#clients.get(endpoint);
    if (client === undefined) {
      client = new ApiGatewayManagementApiClient({ endpoint, maxAttempts: MAX_ATTEMPTS });
      this.#clients.set(endpoint, client);
    }
    return client;
  }
}
