import { setTimeout as sleep } from "node:timers/promises";
import type { DynamoDBStreamEvent } from "aws-lambda";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DiscardedRecords } from "./delivery.ts";
import { TableStreamPoller, type TableStreamPollerOptions } from "./poller.ts";
import { type TableStreamEvent, type TableStreamRecord, toTableStreamRecord } from "./record.ts";
import type { TableStreamShard, TableStreamSource } from "./source.ts";

const ARN = "arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/2026-01-01T00:00:00.000";
const pollers: TableStreamPoller[] = [];

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
});

function record(number: number, createdAt = Date.now()): TableStreamRecord {
  const SequenceNumber = String(number).padStart(21, "0");
  const dynamodb = {
    SequenceNumber,
    ApproximateCreationDateTime: new Date(createdAt),
    Keys: { Id: { S: "a" } },
  };
  return toTableStreamRecord({ eventID: `e${number}`, eventName: "INSERT", dynamodb }, ARN, "eu-west-1");
}

const numbersIn = ({ records }: { readonly records: readonly TableStreamRecord[] }) =>
  records.map(({ dynamodb }) => Number(dynamodb.SequenceNumber));

/** A table stream in memory. Its iterators are a shard and an index. */
class FakeStream implements TableStreamSource {
  readonly arn = ARN;
  readonly list: { id: string; parentId?: string; closed: boolean; records: TableStreamRecord[] }[] = [];
  closed = false;
  broken = 0;
  fault = "ExpiredIteratorException";
  reads = 0;

  shard(id: string, numbers: readonly number[] = [], parentId?: string) {
    const added = {
      id,
      closed: false,
      records: numbers.map((n) => record(n)),
      ...(parentId && { parentId }),
    };
    this.list.push(added);
    return added;
  }

  async shards(): Promise<TableStreamShard[]> {
    return this.list.map(({ records: _, ...shard }) => shard);
  }

  async iterator(shardId: string, position: Parameters<TableStreamSource["iterator"]>[1]) {
    const { records } = this.#find(shardId);
    if (position === "TRIM_HORIZON") return `${shardId}@0`;
    if (position === "LATEST") return `${shardId}@${records.length}`;
    return `${shardId}@${records.findIndex(({ dynamodb }) => dynamodb.SequenceNumber === position.after) + 1}`;
  }

  async read(iterator: string) {
    this.reads++;
    if (this.broken > 0) {
      this.broken--;
      throw Object.assign(new Error("The iterator has expired"), { name: this.fault });
    }
    const [id = "", from] = iterator.split("@");
    const { records, closed } = this.#find(id);
    return { records: records.slice(Number(from)), next: closed ? undefined : `${id}@${records.length}` };
  }

  close() {
    this.closed = true;
  }

  #find(shardId: string) {
    return this.list.find(({ id }) => id === shardId)!;
  }
}

/** A function that records its batches and returns the result of `answer`. */
function recorder(answer: (numbers: number[]) => unknown = () => undefined) {
  const batches: number[][] = [];
  const handler = async ({ Records }: TableStreamEvent) => {
    const numbers = numbersIn({ records: Records });
    batches.push(numbers);
    return answer(numbers);
  };
  return { batches, handler };
}

async function poll(stream: FakeStream, options: TableStreamPollerOptions): Promise<TableStreamPoller> {
  const poller = new TableStreamPoller(stream, { pollMs: 1, ...options });
  pollers.push(poller);
  return poller.start();
}

const until = (check: () => void) => vi.waitFor(check, { interval: 2 });
const failing = (...failed: number[]) => ({
  batchItemFailures: failed.map((number) => ({ itemIdentifier: String(number).padStart(21, "0") })),
});

describe("the batches of a table stream", () => {
  it("have `batchSize` records in order, one batch of a shard at a time", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3, 4, 5]);
    let [running, most] = [0, 0];
    const { batches, handler } = recorder(async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
    });
    await poll(stream, { handler, batchSize: 2 });
    await until(() => expect(batches).toEqual([[1, 2], [3, 4], [5]]));
    expect(most).toBe(1);
  });

  it("wait for more records until they are full", async () => {
    const stream = new FakeStream();
    const shard = stream.shard("s1");
    const { batches, handler } = recorder();
    await poll(stream, { handler, batchWindowMs: 300_000, batchSize: 2 });
    const { reads } = stream;
    shard.records.push(record(1));
    await until(() => expect(stream.reads).toBeGreaterThan(reads + 2));
    expect(batches).toEqual([]);
    shard.records.push(record(2));
    await until(() => expect(batches).toEqual([[1, 2]]));
  });

  it("wait for more records no longer than their window", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1]);
    const { batches, handler } = recorder();
    const started = performance.now();
    await poll(stream, { handler, batchWindowMs: 50 });
    await until(() => expect(batches).toEqual([[1]]));
    expect(performance.now() - started).toBeGreaterThanOrEqual(50);
  });

  it("have 6 MB at most", async () => {
    const stream = new FakeStream();
    const shard = stream.shard("s1");
    for (const number of [1, 2, 3]) {
      const large = record(number);
      const NewImage = { Text: { S: "x".repeat(2.5 * 1024 * 1024) } };
      shard.records.push({ ...large, dynamodb: { ...large.dynamodb, NewImage } });
    }
    const { batches, handler } = recorder();
    await poll(stream, { handler });
    await until(() => expect(batches).toEqual([[1, 2], [3]]));
  });

  it("have only records that match the filter", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3]);
    const { batches, handler } = recorder();
    await poll(stream, {
      handler,
      filter: { eventID: ["e1", "e3"], dynamodb: { NewImage: [{ exists: false }] } },
    });
    await until(() => expect(batches).toEqual([[1, 3]]));
  });

  it("start with new records at LATEST", async () => {
    const stream = new FakeStream();
    const closed = stream.shard("s1", [1]);
    closed.closed = true;
    const open = stream.shard("s2", [2], "s1");
    const { batches, handler } = recorder();
    await poll(stream, { handler, startingPosition: "LATEST" });
    open.records.push(record(3));
    open.closed = true;
    stream.shard("s3", [4], "s2");
    await until(() => expect(batches.flat()).toEqual([3, 4]));
  });

  it("of a parent shard come before those of its children, for any order of the list", async () => {
    const stream = new FakeStream();
    stream.shard("s3", [5, 6], "s1");
    stream.shard("s2", [3, 4], "s1");
    const parent = stream.shard("s1", [1]);
    let fails = 2;
    const { batches, handler } = recorder(([first]) => {
      if (first === 1 && fails-- > 0) throw new Error("not yet");
    });
    await poll(stream, { handler });
    await until(() => expect(batches.length).toBeGreaterThan(1));
    parent.records.push(record(2));
    parent.closed = true;
    await until(() =>
      expect(
        batches
          .flat()
          .filter((it) => it > 2)
          .sort(),
      ).toEqual([3, 4, 5, 6]),
    );
    expect(batches.slice(0, 4)).toEqual([[1], [1], [1], [2]]);
  });

  it("continue after the last record when an iterator has expired", async () => {
    const stream = new FakeStream();
    const shard = stream.shard("s1", [1]);
    const errors: unknown[] = [];
    const { batches, handler } = recorder();
    await poll(stream, { handler, onError: (error) => errors.push(error) });
    await until(() => expect(batches).toEqual([[1]]));
    stream.broken = 2;
    shard.records.push(record(2));
    await until(() => expect(batches).toEqual([[1], [2]]));
    expect(errors).toHaveLength(2);
  });

  it("continue with the oldest record when their position was trimmed", async () => {
    const stream = new FakeStream();
    const shard = stream.shard("s1");
    const errors: unknown[] = [];
    const { batches, handler } = recorder();
    stream.fault = "TrimmedDataAccessException";
    stream.broken = 1;
    await poll(stream, { handler, startingPosition: "LATEST", onError: (error) => errors.push(error) });
    shard.records.push(record(1));
    await until(() => expect(batches).toEqual([[1]]));
    expect(errors).toEqual([]);
  });
});

describe("a failed batch", () => {
  it("is retried until it is processed, before later batches", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3]);
    let fails = 3;
    const { batches, handler } = recorder(() => {
      if (fails-- > 0) throw new Error("no");
    });
    await poll(stream, { handler, batchSize: 2 });
    await until(() => expect(batches).toEqual([[1, 2], [1, 2], [1, 2], [1, 2], [3]]));
  });

  it("is retried from the first reported record", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3, 4]);
    const answers = [failing(4, 2), failing(3), failing()];
    const { batches, handler } = recorder(() => answers.shift());
    await poll(stream, { handler, reportBatchItemFailures: true });
    await until(() =>
      expect(batches).toEqual([
        [1, 2, 3, 4],
        [2, 3, 4],
        [3, 4],
      ]),
    );
  });

  it.each([
    ["an empty identifier", { batchItemFailures: [{ itemIdentifier: "" }] }],
    ["a null identifier", { batchItemFailures: [{ itemIdentifier: null }] }],
    ["another field name", { batchItemFailures: [{ id: "000000000000000000002" }] }],
    ["an identifier of another batch beside its own", failing(2, 9)],
  ])("is retried completely when the report has %s", async (_what, answer) => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2]);
    const answers: unknown[] = [answer];
    const { batches, handler } = recorder(() => answers.shift());
    await poll(stream, { handler, reportBatchItemFailures: true });
    await until(() => expect(batches.length).toBe(2));
    expect(batches).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it.each([[{}], [null], [{ batchItemFailures: null }], [{ batchItemFailures: [] }]])(
    "is not assumed when the result is %j",
    async (answer) => {
      const stream = new FakeStream();
      stream.shard("s1", [1, 2]);
      const { batches, handler } = recorder(() => answer);
      await poll(stream, { handler, batchSize: 1, reportBatchItemFailures: true });
      await until(() => expect(batches).toEqual([[1], [2]]));
    },
  );

  it("is not assumed from a report without `reportBatchItemFailures`", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2]);
    const { batches, handler } = recorder(() => failing(1));
    await poll(stream, { handler, batchSize: 1 });
    await until(() => expect(batches).toEqual([[1], [2]]));
  });

  it("is discarded and reported after `maxRetries`", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2]);
    const discarded: DiscardedRecords[] = [];
    const { batches, handler } = recorder(([first]) => {
      if (first === 1) throw new Error("poison");
    });
    const onFailure = (it: DiscardedRecords) => discarded.push(it);
    await poll(stream, { handler, onFailure, batchSize: 1, maxRetries: 2 });
    await until(() => expect(batches).toEqual([[1], [1], [1], [2]]));
    expect(discarded.map((it) => [it.condition, numbersIn(it), (it.error as Error).message])).toEqual([
      ["RetryAttemptsExhausted", [1], "poison"],
    ]);
  });

  it("is halved down to the failing record with `bisectOnError`", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3, 4]);
    const discarded: DiscardedRecords[] = [];
    const { batches, handler } = recorder((numbers) => {
      if (numbers.includes(3)) throw new Error("poison");
    });
    const onFailure = (it: DiscardedRecords) => discarded.push(it);
    await poll(stream, { handler, onFailure, bisectOnError: true, maxRetries: 1 });
    await until(() => expect(batches).toEqual([[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [4]]));
    expect(discarded.map(numbersIn)).toEqual([[3]]);
  });

  it("loses only the records that are too old", async () => {
    const stream = new FakeStream();
    const shard = stream.shard("s1");
    shard.records.push(record(1, Date.now() - 120_000), record(2));
    const discarded: DiscardedRecords[] = [];
    const { batches, handler } = recorder();
    const onFailure = (it: DiscardedRecords) => {
      discarded.push(it);
      throw new Error("the destination is away");
    };
    await poll(stream, { handler, onFailure, maxRecordAgeMs: 60_000 });
    await until(() => expect(batches).toEqual([[2]]));
    expect(discarded.map((it) => [it.condition, numbersIn(it)])).toEqual([["RecordAgeExceeded", [1]]]);
  });
});

describe("stop", () => {
  it("waits for the running call, starts no other, and closes the source", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1, 2, 3]);
    let end = () => {};
    const { batches, handler } = recorder(() => new Promise<void>((resolve) => (end = resolve)));
    const poller = await poll(stream, { handler, batchSize: 1 });
    await until(() => expect(batches).toEqual([[1]]));
    let stopped = false;
    const stopping = poller.stop().then(() => {
      stopped = true;
    });
    await new Promise(setImmediate);
    expect(stopped).toBe(false);
    end();
    await stopping;
    expect(batches).toEqual([[1]]);
    expect(stream.closed).toBe(true);
  });

  it("ends the pause before a retry", async () => {
    const stream = new FakeStream();
    stream.shard("s1", [1]);
    const { batches, handler } = recorder(() => {
      throw new Error("no");
    });
    const poller = await poll(stream, { handler });
    await until(() => expect(batches.length).toBe(4));
    // A pause of 800 ms follows the fourth attempt.
    const inPause = sleep(500, "still paused");
    expect(await Promise.race([poller.stop().then(() => "stopped"), inPause])).toBe("stopped");
  });
});

describe("a record", () => {
  const read = {
    eventID: "4a355d62",
    eventVersion: "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: "ddblocal",
    dynamodb: {
      ApproximateCreationDateTime: new Date(1_480_642_020_000),
      Keys: { Id: { S: "a" } },
      SequenceNumber: "000000000000000000001",
      SizeBytes: 31,
      StreamViewType: "NEW_IMAGE" as const,
    },
  };

  it("has the service's shape, with bytes as base64 at any depth", () => {
    const bytes = new Uint8Array([1, 2, 255]);
    const NewImage = {
      Id: { S: "a" },
      Count: { N: "1.5" },
      Bytes: { B: bytes },
      Several: { BS: [bytes] },
      Nested: { M: { List: { L: [{ B: bytes }, { NULL: true as const }, { SS: ["x"] }] } } },
    };
    const made = toTableStreamRecord(
      { ...read, eventName: "INSERT", dynamodb: { ...read.dynamodb, NewImage } },
      ARN,
      "eu-west-1",
    );
    // The event must be assignable to the types that handlers use.
    const event: DynamoDBStreamEvent = { Records: [made as DynamoDBStreamEvent["Records"][number]] };
    expect(event.Records[0]).toEqual({
      eventID: "4a355d62",
      eventName: "INSERT",
      eventVersion: "1.1",
      eventSource: "aws:dynamodb",
      awsRegion: "eu-west-1",
      dynamodb: {
        ApproximateCreationDateTime: 1_480_642_020,
        Keys: { Id: { S: "a" } },
        NewImage: {
          Id: { S: "a" },
          Count: { N: "1.5" },
          Bytes: { B: "AQL/" },
          Several: { BS: ["AQL/"] },
          Nested: { M: { List: { L: [{ B: "AQL/" }, { NULL: true }, { SS: ["x"] }] } } },
        },
        SequenceNumber: "000000000000000000001",
        SizeBytes: 31,
        StreamViewType: "NEW_IMAGE",
      },
      eventSourceARN: ARN.replace("ddblocal", "eu-west-1"),
    });
  });

  it.each([
    ["DynamoDB Local", { eventName: "UNKNOWN_TO_SDK_VERSION" as "REMOVE" }],
    [
      "the service",
      {
        eventName: "REMOVE" as const,
        userIdentity: { Type: "Service", PrincipalId: "dynamodb.amazonaws.com" },
      },
    ],
  ])("of an item removed by TTL has the service's userIdentity, from %s", (_where, fields) => {
    expect(toTableStreamRecord({ ...read, ...fields }, ARN, "eu-west-1")).toMatchObject({
      eventName: "REMOVE",
      userIdentity: { type: "Service", principalId: "dynamodb.amazonaws.com" },
    });
  });
});

describe("options", () => {
  const handler = () => undefined;

  it.each([
    ["no handler", {}],
    ["an unknown name", { handler, retries: 1 }],
    ["an empty batch", { handler, batchSize: 0 }],
    ["too large a batch", { handler, batchSize: 10_001 }],
    ["a window over 300 s", { handler, batchWindowMs: 300_001 }],
    ["an age below a minute", { handler, maxRecordAgeMs: 59_999 }],
    ["another position", { handler, startingPosition: "AT_TIMESTAMP" }],
    ["an unknown rule", { handler, filter: { eventName: [{ "anything-but": "REMOVE" }] } }],
    ["no rules", { handler, filter: { eventName: [] } }],
    ["a bare value", { handler, filter: { eventName: "INSERT" } }],
  ])("are refused with %s", (_what, options) => {
    expect(() => new TableStreamPoller(new FakeStream(), options as TableStreamPollerOptions)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});
