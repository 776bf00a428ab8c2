import { randomUUID } from "node:crypto";
import { type AttributeValue, DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { createTables } from "lift-ws/store/dynamodb";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamOptions,
  type TableStreamPoller,
  type TableStreamRecord,
} from "../../src/lambda-emulator/index.ts";
import { LOCAL, localClient } from "./connection-table.ts";

const client = localClient();
const pollers: TableStreamPoller[] = [];
let TableName: string;

beforeEach(async () => {
  TableName = `stream-${randomUUID()}`;
  await createTables({ client, messageTableName: TableName });
});

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
});

const key = (channel: string, item: string) => ({ Channel: { S: channel }, Item: { S: item } });
const put = (channel: string, item: string, rest: Record<string, AttributeValue> = {}) =>
  client.send(new PutItemCommand({ TableName, Item: { ...key(channel, item), ...rest } }));

async function poll(
  options: Partial<TableStreamOptions> & Pick<TableStreamOptions, "handler">,
): Promise<void> {
  const endpoint = inject("dynamoDBEndpoint");
  pollers.push(await pollTableStream({ tableName: TableName, endpoint, ...LOCAL, pollMs: 20, ...options }));
}

/** A function that records its records after `answer`. */
function recorder(answer: (records: readonly TableStreamRecord[]) => unknown = () => undefined) {
  const got: TableStreamRecord[] = [];
  const handler = async ({ Records }: TableStreamEvent) => {
    const answered = await answer(Records);
    got.push(...Records);
    return answered;
  };
  const seen = () =>
    got.map(({ eventName, dynamodb }) => `${eventName} ${dynamodb.Keys.Channel?.S}/${dynamodb.Keys.Item?.S}`);
  return { got, handler, seen };
}

describe("a function on a table stream", () => {
  it("receives every change in order, in the service's format", async () => {
    await put("a", "1");
    await put("a", "1", { Epoch: { S: "x" }, Raw: { B: new Uint8Array([1]) } });
    await client.send(new DeleteItemCommand({ TableName, Key: key("a", "1") }));
    const { got, handler, seen } = recorder();
    await poll({ handler, region: "eu-west-1" });
    await vi.waitFor(() => expect(seen()).toEqual(["INSERT a/1", "MODIFY a/1", "REMOVE a/1"]), 5_000);
    expect(got[1]).toEqual({
      eventID: expect.stringMatching(/./),
      eventName: "MODIFY",
      eventVersion: "1.1",
      eventSource: "aws:dynamodb",
      awsRegion: "eu-west-1",
      dynamodb: {
        ApproximateCreationDateTime: expect.any(Number),
        Keys: key("a", "1"),
        NewImage: { ...key("a", "1"), Epoch: { S: "x" }, Raw: { B: "AQ==" } },
        SequenceNumber: expect.stringMatching(/^\d{21,40}$/),
        SizeBytes: expect.any(Number),
        StreamViewType: "NEW_IMAGE",
      },
      eventSourceARN: expect.stringMatching(
        new RegExp(`^arn:aws:dynamodb:eu-west-1:\\d{12}:table/${TableName}/stream/`),
      ),
    });
  });

  it("receives only later changes when it starts at the latest record", async () => {
    await put("a", "before");
    const { handler, seen } = recorder();
    await poll({ handler, startingPosition: "LATEST" });
    await put("a", "after");
    await vi.waitFor(() => expect(seen()).toEqual(["INSERT a/after"]), 5_000);
  });

  it("receives the changes of a key in order, with retries until success", async () => {
    let calls = 0;
    const done = new Map<string, number[]>();
    const { handler } = recorder((records) => {
      const failsAt = ++calls % 2 === 0 ? undefined : Math.floor(records.length / 2);
      for (const [index, { dynamodb }] of records.entries()) {
        if (index === failsAt) return { batchItemFailures: [{ itemIdentifier: dynamodb.SequenceNumber }] };
        const channel = String(dynamodb.Keys.Channel?.S);
        done.set(channel, [...(done.get(channel) ?? []), Number(dynamodb.NewImage?.Offset?.N)]);
      }
      return undefined;
    });
    await poll({ handler, batchSize: 7, reportBatchItemFailures: true });
    const channels = ["a", "b", "c"];
    const numbers = Array.from({ length: 20 }, (_, at) => at);
    for (const at of numbers) {
      await Promise.all(channels.map((channel) => put(channel, "head", { Offset: { N: String(at) } })));
    }
    await vi.waitFor(() => expect([...done.values()].flat()).toHaveLength(60), 10_000);
    expect(done).toEqual(new Map(channels.map((channel) => [channel, numbers])));
    expect(calls).toBeGreaterThan(8);
  });

  it("is not blocked for ever by a failing record", async () => {
    for (const item of ["1", "2", "3", "4"]) await put("a", item);
    const given: unknown[] = [];
    const { handler, seen } = recorder((records) => {
      if (records.some(({ dynamodb }) => dynamodb.Keys.Item?.S === "2")) throw new Error("poison");
    });
    await poll({
      handler,
      bisectOnError: true,
      maxRetries: 1,
      onFailure: ({ condition, records }) =>
        given.push([condition, records.map((it) => it.dynamodb.Keys.Item?.S)]),
    });
    await vi.waitFor(() => expect(seen()).toEqual(["INSERT a/1", "INSERT a/3", "INSERT a/4"]), 5_000);
    expect(given).toEqual([["RetryAttemptsExhausted", ["2"]]]);
  });

  it("cannot start on a table without a stream", async () => {
    const memberTableName = `members-${randomUUID()}`;
    await createTables({ client, memberTableName });
    const polled = poll({ handler: () => undefined, tableName: memberTableName });
    await expect(polled).rejects.toMatchObject({ code: "STREAM_UNAVAILABLE" });
  });
});
