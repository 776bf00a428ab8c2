import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { createTables } from "lift-ws/store/dynamodb";
import { inject } from "vitest";

/** A client of the tests' DynamoDB Local. */
export function localClient(): DynamoDBClient {
  return new DynamoDBClient({
    endpoint: inject("dynamoDBEndpoint"),
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
}

/** An empty table of its own. */
export async function newTable(client: DynamoDBClient): Promise<string> {
  const tableName = `connections-${randomUUID()}`;
  await createTables({ client, tableName });
  return tableName;
}
