import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from "@aws-sdk/client-dynamodb";
import type { Identity } from "./auth.ts";

/** API Gateway ends a connection after two hours; ten minutes more, for a late `$disconnect`. */
const ROW_LIFE_MS = (2 * 60 + 10) * 60_000;

export interface Connection extends Identity {
  readonly id: string;
  readonly endpoint: string;
  /** ms since the epoch. */
  readonly connectedAt: number;
  readonly sourceIp: string;
}

/** The table `streamer-connections`, with its indexes `UserIndex` and `TenantIndex`. */
export class ConnectionTable {
  readonly #client: DynamoDBClient;
  readonly #tableName: string;

  constructor(client: DynamoDBClient, tableName: string) {
    this.#client = client;
    this.#tableName = tableName;
  }

  /** A repeated `$connect` of the same connection changes nothing. */
  async save(connection: Connection): Promise<void> {
    const { id, userId, tenantId, tokenExpiresAt, endpoint, connectedAt, sourceIp } = connection;
    const put = new PutItemCommand({
      TableName: this.#tableName,
      Item: {
        ConnectionID: { S: id },
        UserID: { S: userId },
        TenantID: { S: tenantId },
        TokenExpiresAt: { N: String(tokenExpiresAt) },
        Endpoint: { S: endpoint },
        ConnectedAt: { N: String(connectedAt) },
        SourceIP: { S: sourceIp },
        TTL: { N: String(Math.ceil((connectedAt + ROW_LIFE_MS) / 1_000)) },
      },
      ConditionExpression: "attribute_not_exists(ConnectionID)",
    });
    await this.#client.send(put).catch(ignoreFailedCondition);
  }

  async get(id: string): Promise<Connection | undefined> {
    const { Item: item } = await this.#client.send(
      // Consistent: a client may send its first message right after it has connected.
      new GetItemCommand({
        TableName: this.#tableName,
        Key: { ConnectionID: { S: id } },
        ConsistentRead: true,
      }),
    );
    // TTL deletes rows up to days late.
    if (item === undefined || Number(item.TTL?.N) * 1_000 <= Date.now()) return undefined;
    return {
      id,
      userId: item.UserID?.S ?? "",
      tenantId: item.TenantID?.S ?? "",
      tokenExpiresAt: Number(item.TokenExpiresAt?.N),
      endpoint: item.Endpoint?.S ?? "",
      connectedAt: Number(item.ConnectedAt?.N),
      sourceIp: item.SourceIP?.S ?? "",
    };
  }

  async delete(id: string): Promise<void> {
    await this.#client.send(
      new DeleteItemCommand({ TableName: this.#tableName, Key: { ConnectionID: { S: id } } }),
    );
  }
}

function ignoreFailedCondition(error: unknown): void {
  if (!(error instanceof ConditionalCheckFailedException)) throw error;
}
