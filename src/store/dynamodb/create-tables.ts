import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  ResourceInUseException,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { CONNECTION_TABLE, type TableDefinition } from "./tables.ts";

export interface CreateTablesOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  /** Seconds to wait for a table to become active. Default 120. */
  readonly maxWaitSeconds?: number;
}

/**
 * Creates what `dynamoDBConnectionStore` needs, billed on demand, and waits until it is there. A table that
 * exists is left as it is. For development and tests; in production let an infrastructure stack do it.
 */
export async function createTables(options: CreateTablesOptions): Promise<void> {
  const { client, tableName, maxWaitSeconds = 120 } = options;
  try {
    await client.send(new CreateTableCommand(createTableInput(tableName, CONNECTION_TABLE)));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  const wait = { client, maxWaitTime: maxWaitSeconds, minDelay: 1, maxDelay: 5 };
  await waitUntilTableExists(wait, { TableName: tableName });
  await turnOnTimeToLive(client, tableName, CONNECTION_TABLE.timeToLive);
}

/** What `CreateTable` takes for a definition. */
export function createTableInput(tableName: string, table: TableDefinition): CreateTableCommandInput {
  const keys = new Set([table.partitionKey, ...table.indexes.flatMap((it) => [it.partitionKey, it.sortKey])]);
  return {
    TableName: tableName,
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: [{ AttributeName: table.partitionKey, KeyType: "HASH" }],
    AttributeDefinitions: [...keys].map((name) => ({ AttributeName: name, AttributeType: "S" })),
    GlobalSecondaryIndexes: table.indexes.map(({ name, partitionKey, sortKey }) => ({
      IndexName: name,
      KeySchema: [
        { AttributeName: partitionKey, KeyType: "HASH" },
        { AttributeName: sortKey, KeyType: "RANGE" },
      ],
      Projection: { ProjectionType: table.projection },
    })),
  };
}

/** Asked first: turning it on twice is an error to DynamoDB. */
async function turnOnTimeToLive(client: DynamoDBClient, tableName: string, attribute: string): Promise<void> {
  const described = await client.send(new DescribeTimeToLiveCommand({ TableName: tableName }));
  const status = described.TimeToLiveDescription?.TimeToLiveStatus;
  if (status === "ENABLED" || status === "ENABLING") return;
  const specification = { AttributeName: attribute, Enabled: true };
  await client.send(
    new UpdateTimeToLiveCommand({ TableName: tableName, TimeToLiveSpecification: specification }),
  );
}
