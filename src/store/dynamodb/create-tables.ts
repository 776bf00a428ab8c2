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
  REQUEST_TABLE,
  SCHEDULE_TABLE,
  type TableDefinition,
  TICKET_TABLE,
} from "./tables.ts";

/** Options of `createTables`. A table is created for each name given. */
export interface CreateTablesOptions {
  /** The client that creates the tables. */
  readonly client: DynamoDBClient;
  /** Name of the table for `dynamoDBConnectionStore`. */
  readonly tableName?: string;
  /** Name of the table for `dynamoDBSchedule`. */
  readonly scheduleTableName?: string;
  /** Name of the table for `dynamoDBTicketStore`. */
  readonly ticketTableName?: string;
  /** Name of the table of messages for `dynamoDBChannelStore`. The store also needs `memberTableName`. */
  readonly messageTableName?: string;
  /** Name of the table of members for `dynamoDBChannelStore`. */
  readonly memberTableName?: string;
  /** Name of the table of requests for `dynamoDBChannelStore`. */
  readonly requestTableName?: string;
  /** Name of the table for `dynamoDBRateLimiter`. */
  readonly rateLimitTableName?: string;
  /** Seconds to wait for a table to become active. Default 120. */
  readonly maxWaitSeconds?: number;
}

/**
 * Creates a table for each name given, billed on demand, and waits until it is active. An existing table keeps
 * its definition; only its TTL is turned on if it is off. Use it for development and tests; in production use an infrastructure stack.
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
    [options.requestTableName, REQUEST_TABLE],
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
 * Returns the input of `CreateTable` for a table definition.
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
    // DynamoDB rejects an empty list.
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

/** Checks the status first, because DynamoDB rejects enabling TTL twice. */
async function turnOnTimeToLive(client: DynamoDBClient, tableName: string, attribute: string): Promise<void> {
  const described = await client.send(new DescribeTimeToLiveCommand({ TableName: tableName }));
  const status = described.TimeToLiveDescription?.TimeToLiveStatus;
  if (status === "ENABLED" || status === "ENABLING") return;
  const specification = { AttributeName: attribute, Enabled: true };
  await client.send(
    new UpdateTimeToLiveCommand({ TableName: tableName, TimeToLiveSpecification: specification }),
  );
}
