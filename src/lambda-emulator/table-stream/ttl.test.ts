import {
  CreateTableCommand,
  DynamoDBClient,
  PutItemCommand,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import { afterEach, expect, it, vi } from "vitest";
import { startDynamoDBLocal } from "../dynamodb-local.ts";
import { pollTableStream } from "./poller.ts";
import type { TableStreamRecord } from "./record.ts";

const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

// Use a separate engine: one with many tables checks each table's TTL late.
it("delivers items that TTL removed in the service's form", async () => {
  const { endpoint, stop } = await startDynamoDBLocal();
  stops.push(stop);
  const access = {
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  };
  const client = new DynamoDBClient(access);
  stops.push(() => client.destroy());
  const TableName = "things";
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "Id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "Id", AttributeType: "S" }],
      StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
    }),
  );
  const TimeToLiveSpecification = { AttributeName: "ExpiresAt", Enabled: true };
  await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
  const got: TableStreamRecord[] = [];
  const handler = ({ Records }: { Records: readonly TableStreamRecord[] }) => void got.push(...Records);
  const poller = await pollTableStream({ ...access, tableName: TableName, handler });
  stops.push(() => poller.stop());
  const item = { Id: { S: "1" }, ExpiresAt: { N: String(Math.floor(Date.now() / 1_000) + 1) } };
  await client.send(new PutItemCommand({ TableName, Item: item }));

  await vi.waitFor(() => expect(got).toHaveLength(2), { interval: 200 });
  expect(got).toMatchObject([
    { eventName: "INSERT", dynamodb: { NewImage: item } },
    {
      eventName: "REMOVE",
      userIdentity: { type: "Service", principalId: "dynamodb.amazonaws.com" },
      dynamodb: { Keys: { Id: item.Id }, OldImage: item },
    },
  ]);
  expect(got[0]).not.toHaveProperty("userIdentity");
  expect(got[1]?.dynamodb).not.toHaveProperty("NewImage");
});
