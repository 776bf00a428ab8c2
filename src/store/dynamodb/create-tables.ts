import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  ResourceInUseException,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  CONNECTION_TABLE,
  type IndexDefinition,
  MEMBER_TABLE,
  MESSAGE_TABLE,
  RATE_LIMIT_TABLE,
  SCHEDULE_TABLE,
  type TableDefinition,
  TICKET_TABLE,
} from "./tables.ts";

/** Options of `createTables`. A table is created for each name given. */
export interface CreateTablesOptions {
  /** The client that creates the tables. */
  readonly client: DynamoDBClient;
  /** For `dynamoDBConnectionStore`. */
  readonly tableName?: string;
  /** For `dynamoDBSchedule`. */
  readonly scheduleTableName?: string;
  /** For `dynamoDBTicketStore`. */
  readonly ticketTableName?: string;
  /** For `dynamoDBChannelStore`, and the next. */
  readonly messageTableName?: string;
  /** The table of members, for `dynamoDBChannelStore`. */
  readonly memberTableName?: string;
  /** For `dynamoDBRateLimiter`. */
  readonly rateLimitTableName?: string;
  /** Seconds to wait for a table to become active. Default 120. */
  readonly maxWaitSeconds?: number;
}

/**
 * Creates the tables that are named, billed on demand, and waits until they are there. A table that exists is
 * left as it is. For development and tests; in production let an infrastructure stack do it.
 * @example
 * await createTables({ client: new DynamoDBClient(), tableName: "connections" });
 */
export async function createTables(options: CreateTablesOptions): Promise<void> {
  const tables = [
    [options.tableName, CONNECTION_TABLE],
    [options.scheduleTableName, SCHEDULE_TABLE],
    [options.ticketTableName, TICKET_TABLE],
    [options.messageTableName, MESSAGE_TABLE],
    [options.memberTableName, MEMBER_TABLE],
    [options.rateLimitTableName, RATE_LIMIT_TABLE],
  ] as const;
  for (const [name, table] of tables) if (name !== undefined) await createTable(options, name, table);
}

async function createTable(
  options: CreateTablesOptions,
  name: string,
  table: TableDefinition,
): Promise<void> {
  const { client, maxWaitSeconds = 120 } = options;
  try {
    await client.send(new CreateTableCommand(createTableInput(name, table)));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  await waitUntilTableExists(
    { client, maxWaitTime: maxWaitSeconds, minDelay: 1, maxDelay: 5 },
    { TableName: name },
  );
  await turnOnTimeToLive(client, name, table.timeToLive);
}

/**
 * What `CreateTable` takes for a definition.
 * @example
 * await client.send(new CreateTableCommand(createTableInput("connections", CONNECTION_TABLE)));
 */
export function createTableInput(tableName: string, table: TableDefinition): CreateTableCommandInput {
  const { partitionKey, sortKey, indexes, tableStream } = table;
  const keys = new Set([partitionKey, ...indexes.flatMap((it) => [it.partitionKey, it.sortKey])]);
  if (sortKey !== undefined) keys.add(sortKey);
  return {
    TableName: tableName,
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: [
      { AttributeName: partitionKey, KeyType: "HASH" },
      ...(sortKey === undefined ? [] : [{ AttributeName: sortKey, KeyType: "RANGE" as const }]),
    ],
    AttributeDefinitions: [...keys].map((name) => ({ AttributeName: name, AttributeType: "S" })),
    // DynamoDB refuses an empty list.
    ...(indexes.length > 0 && { GlobalSecondaryIndexes: indexes.map(indexInput) }),
    ...(tableStream && { StreamSpecification: { StreamEnabled: true, StreamViewType: tableStream } }),
  };

  function indexInput({ name, partitionKey, sortKey }: IndexDefinition) {
    return {
      IndexName: name,
      KeySchema: [
        { AttributeName: partitionKey, KeyType: "HASH" as const },
        { AttributeName: sortKey, KeyType: "RANGE" as const },
      ],
      Projection: { ProjectionType: table.projection },
    };
  }
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
