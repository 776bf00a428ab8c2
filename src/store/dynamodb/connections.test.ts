import { localClient, newTable } from "../../../test/dynamodb/table.ts";
import { storeCases } from "../../../test/store.cases.ts";
import { type DynamoDBConnectionStoreOptions, dynamoDBConnectionStore } from "./index.ts";

async function make(options: Partial<DynamoDBConnectionStoreOptions> = {}) {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const client = localClient();
  const tableName = await newTable(client);
  const advance = (ms: number) => {
    time += ms;
  };
  return {
    store: dynamoDBConnectionStore({ tableName, client, now, ...options }),
    now,
    advance,
    client,
    tableName,
  };
}

storeCases("DynamoDB store", () => make());
storeCases("DynamoDB store with a limit", () => make({ maxConnections: 100 }));
