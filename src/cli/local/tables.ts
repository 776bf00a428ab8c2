import type { DynamoDBTables, ResolvedResource } from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";
import { mapsOf, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

const TYPES = ["AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"];

/** Where the tables are made, and who makes them. */
export interface DynamoDBAccessKeys {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Whether a stack has tables. */
export function hasTables(stack: Stack): boolean {
  return stack.ofType(...TYPES).length > 0;
}

/** Creates the tables of a stack with their indexes, TTL and streams. Tables that exist stay as they are. @throws {CliError} FAILED; {TemplateError} */
export async function createTables(stack: Stack, access: DynamoDBAccessKeys): Promise<string[]> {
  if (!hasTables(stack)) return [];
  const sdk = await import("@aws-sdk/client-dynamodb").catch((cause: unknown) => {
    throw new CliError("FAILED", "lift-ws local needs the AWS SDK: npm install @aws-sdk/client-dynamodb", {
      cause,
    });
  });
  const client = new sdk.DynamoDBClient(access);
  const tables = stack.ofType(...TYPES);
  try {
    await Promise.all(tables.map(create));
    return tables.map(({ ref }) => ref);
  } finally {
    client.destroy();
  }

  async function create(table: ResolvedResource): Promise<void> {
    const { ref: TableName } = table;
    const input = { TableName, BillingMode: "PAY_PER_REQUEST", ...schemaOf(table) };
    try {
      // CloudFormation's properties have the names and shapes of the request.
      await client.send(new sdk.CreateTableCommand(input as never));
      await sdk.waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { TableName });
      const AttributeName = expiryOf(stack, table);
      if (AttributeName === undefined) return;
      const TimeToLiveSpecification = { Enabled: true, AttributeName };
      await client.send(new sdk.UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
    } catch (error) {
      if (error instanceof sdk.ResourceInUseException) return;
      const { message, code, name } = error as NodeJS.ErrnoException;
      // An error of the connection may have a code only, and some messages of the service have line breaks.
      const reason = (message || code || name).replace(/\s+/g, " ");
      throw stack.error("TEMPLATE_INVALID", `Cannot create the table: ${reason}`, table);
    }
  }
}

/** Checks what is used after the table has been created. @throws {TemplateError} TEMPLATE_INVALID */
export function assertTables(stack: Stack): void {
  for (const table of stack.ofType(...TYPES)) expiryOf(stack, table);
}

/** Returns the attribute that expires a table's items, if any does. */
function expiryOf(stack: Stack, table: ResolvedResource): string | undefined {
  const [timeToLive] = mapsOf(table.properties.TimeToLiveSpecification);
  if (timeToLive === undefined || textOf(timeToLive, "Enabled") !== "true") return undefined;
  const attribute = textOf(timeToLive, "AttributeName");
  if (attribute) return attribute;
  throw stack.error("TEMPLATE_INVALID", "`TimeToLiveSpecification` needs an `AttributeName`", table);
}

/** Keys and indexes, without capacities: everything is billed on demand here. */
function schemaOf({ properties }: ResolvedResource): object {
  const indexes = (name: string) =>
    mapsOf(properties[name]).map(({ IndexName, KeySchema, Projection }) => ({
      IndexName,
      KeySchema,
      Projection,
    }));
  const [globals, locals] = [indexes("GlobalSecondaryIndexes"), indexes("LocalSecondaryIndexes")];
  const [stream] = mapsOf(properties.StreamSpecification);
  return {
    KeySchema: properties.KeySchema,
    AttributeDefinitions: properties.AttributeDefinitions,
    ...(globals.length > 0 && { GlobalSecondaryIndexes: globals }),
    ...(locals.length > 0 && { LocalSecondaryIndexes: locals }),
    ...(stream && {
      StreamSpecification: {
        StreamEnabled: true,
        StreamViewType: textOf(stream, "StreamViewType") ?? "NEW_AND_OLD_IMAGES",
      },
    }),
  };
}

/** Describes the tables of a stack for decisions on requests to them. */
export function describeTables(stack: Stack): DynamoDBTables {
  const { region, accountId } = stack.template.stack;
  const tables = new Map(stack.ofType(...TYPES).map((table) => [table.ref, table]));
  return {
    region,
    accountId,
    partitionKey(tableName, indexName) {
      const { properties } = tables.get(tableName) ?? {};
      if (properties === undefined) return undefined;
      const indexes = [
        ...mapsOf(properties.GlobalSecondaryIndexes),
        ...mapsOf(properties.LocalSecondaryIndexes),
      ];
      const owner =
        indexName === undefined ? properties : indexes.find((each) => each.IndexName === indexName);
      const hash = mapsOf(owner?.KeySchema).find((key) => key.KeyType === "HASH");
      return hash && textOf(hash, "AttributeName");
    },
    streamArn: (tableName) => tables.get(tableName)?.attributes.StreamArn,
  };
}

/** Returns the table whose stream has an ARN. */
export function tableOfStream(stack: Stack, arn: string): ResolvedResource | undefined {
  return stack.ofType(...TYPES).find(({ attributes }) => attributes.StreamArn === arn);
}
