import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import {
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  PutItemCommand,
  ScanCommand,
} from "@aws-sdk/client-dynamodb";
import { jsonLogger, Lift, type LogFields } from "lift-ws";
import { defaultRateLimits, type RateLimit, webSocketRateLimit } from "lift-ws/middleware/rate-limit";
import { type DynamoDBRateLimiterOptions, dynamoDBRateLimiter } from "lift-ws/middleware/rate-limit-dynamodb";
import { createTables } from "lift-ws/store/dynamodb";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { connectEvent, lambdaContext, messageEvent, recordingConnections } from "lift-ws/testing";
import { beforeAll, describe, expect, inject, it, onTestFinished, vi } from "vitest";
import { CALL_TIMEOUT_MS, LOCAL, localClient } from "./connection-table.ts";
import {
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
} from "./request-faults.ts";

const client = localClient();
const tables = { tableName: `connections-${randomUUID()}`, rateLimitTableName: `limits-${randomUUID()}` };
beforeAll(() => createTables({ client, ...tables }));

const limiter = (options: Partial<DynamoDBRateLimiterOptions> = {}) =>
  dynamoDBRateLimiter({
    tableName: tables.rateLimitTableName,
    client,
    timeoutMs: CALL_TIMEOUT_MS,
    ...options,
  });

/** Returns the number of allowed calls among concurrent ones. */
async function passed(calls: number, consume: () => Promise<unknown>): Promise<number> {
  const outcomes = await Promise.allSettled(Array.from({ length: calls }, consume));
  return outcomes.filter(({ status }) => status === "fulfilled").length;
}

/** Counts the requests of a client. */
function counted(): { client: DynamoDBClient; requests: () => number } {
  const counting = localClient();
  let requests = 0;
  injectFaults(counting, () => {
    requests++;
    return undefined;
  });
  return { client: counting, requests: () => requests };
}

/** An app in one container, with a limit on connects in DynamoDB. */
function makeApp(connects: Partial<RateLimit> = {}) {
  const logged: { message: string; fields: LogFields | undefined }[] = [];
  const log = (message: string, fields?: LogFields) => void logged.push({ message, fields });
  const connections = recordingConnections();
  const app = new Lift({
    connections,
    connectionStore: memoryConnectionStore(),
    logger: { debug: log, info: log, warn: log, error: log },
  });
  app.use(
    webSocketRateLimit({ ...defaultRateLimits, connects: { by: "ip", limiter: limiter(), ...connects } }),
  );
  app.webSocket("say", () => {});
  const handler = app.webSocketHandler();
  return {
    logged,
    connections,
    connect: async (sourceIp: string) => {
      const event = connectEvent({ connectionId: randomUUID(), requestContext: { identity: { sourceIp } } });
      return (await handler(event, lambdaContext())).statusCode;
    },
    say: () => handler(messageEvent("say", {}), lambdaContext()),
  };
}

describe("a key that exceeds DynamoDB's limit", () => {
  const room = "a".repeat(3_000);

  it("is limited like others", async () => {
    const app = new Lift<object>({
      connections: recordingConnections(),
      logger: jsonLogger({ level: "silent" }),
    });
    let handled = 0;
    app.use(
      webSocketRateLimit({
        messages: { by: (ctx) => String(ctx.body("room")), limiter: limiter({ limit: 2 }) },
      }),
    );
    app.webSocket("say", () => void handled++);
    const handler = app.webSocketHandler();
    for (let n = 0; n < 5; n++) await handler(messageEvent("say", { room }), lambdaContext());
    expect(handled).toBe(2);
  });

  it("is limited when an application counts it", async () => {
    const own = limiter({ limit: 2 });
    expect(await passed(5, () => own.consume(room))).toBe(2);
    expect(await passed(5, () => own.consume(`${room}b`))).toBe(2);
  });
});

describe("the table of createTables for limits", () => {
  it("has the key and TTL that the limiter needs, and no index", async () => {
    const named = { TableName: tables.rateLimitTableName };
    const { Table } = await client.send(new DescribeTableCommand(named));
    expect(Table).toMatchObject({
      KeySchema: [{ AttributeName: "key", KeyType: "HASH" }],
      BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" },
    });
    expect(Table?.GlobalSecondaryIndexes).toBeUndefined();
    const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand(named));
    expect(TimeToLiveDescription).toEqual({ AttributeName: "expire", TimeToLiveStatus: "ENABLED" });
  });
});

describe("a limit in DynamoDB", () => {
  it("allows exactly its limit of 100 concurrent calls, in each round", async () => {
    const one = limiter({ limit: 37 });
    expect(await passed(100, () => one.consume("a"))).toBe(37);
    expect(await passed(1, () => one.consume("a"))).toBe(0);
    expect(await passed(5, () => one.consume("b"))).toBe(5);
  });

  it("is shared by all containers", async () => {
    const containers = Array.from({ length: 4 }, () => limiter({ limit: 37 }));
    let next = 0;
    const consume = () => containers[next++ % containers.length]!.consume("shared");
    expect(await passed(100, consume)).toBe(37);
  });

  it("reports the time to wait, and allows calls after it", async () => {
    const one = limiter({ limit: 1, windowMs: 300 });
    await one.consume("again");
    const refusal = (await one.consume("again").catch((thrown) => thrown)) as { msBeforeNext: number };
    expect(refusal.msBeforeNext).toBeGreaterThan(0);
    expect(refusal.msBeforeNext).toBeLessThanOrEqual(300);
    await vi.waitUntil(() =>
      one.consume("again").then(
        () => true,
        () => false,
      ),
    );
  });

  it("writes nothing for keys that are over the limit in this container", async () => {
    const { client: counting, requests } = counted();
    const one = limiter({ limit: 2, client: counting });
    const keys = ["flood", "another flood"];
    for (const key of keys) await passed(2, () => one.consume(key));
    const before = requests();
    for (const key of keys) expect(await passed(100, () => one.consume(key))).toBe(0);
    expect(requests()).toBe(before);
  });

  it("writes once for a key that exceeds the limit in other containers", async () => {
    await passed(2, () => limiter({ limit: 2 }).consume("elsewhere"));
    const { client: counting, requests } = counted();
    const one = limiter({ limit: 2, client: counting });
    expect(await passed(1, () => one.consume("elsewhere"))).toBe(0);
    const before = requests();
    expect(await passed(10, () => one.consume("elsewhere"))).toBe(0);
    expect(requests()).toBe(before);
  });

  it.each([
    ["is refused", THROTTLED],
    ["fails", INTERNAL_ERROR],
    ["is carried out, and the answer lost", RESPONSE_LOST],
  ])("allows no more calls when every request %s the first time", async (_what, fault) => {
    const faulty = localClient(3);
    injectFaults(faulty, failFirstAttempts(fault));
    const one = limiter({ limit: 5, client: faulty });
    const key = `faulty ${fault.exception}`;
    expect(await passed(20, () => one.consume(key))).toBeLessThanOrEqual(5);
  });

  it("ends a window that started on a clock ahead by an hour or a year", async () => {
    for (const [key, ahead] of [
      ["hour", 3_600],
      ["year", 365 * 86_400],
    ] as const) {
      const Item = {
        key: { S: `rlflx:${key}` },
        points: { N: "1000" },
        expire: { N: String(Date.now() / 1_000 + ahead) },
      };
      await client.send(new PutItemCommand({ TableName: tables.rateLimitTableName, Item }));
      const one = limiter({ limit: 2 });
      expect(await passed(5, () => one.consume(key))).toBe(2);
    }
  });

  it("accepts a window that started on a clock ahead by some seconds", async () => {
    const expire = { N: String(Date.now() / 1_000 + 60 + 30) };
    const Item = { key: { S: "rlflx:seconds" }, points: { N: "1000" }, expire };
    await client.send(new PutItemCommand({ TableName: tables.rateLimitTableName, Item }));
    expect(await passed(5, () => limiter({ limit: 2 }).consume("seconds"))).toBe(0);
  });

  it("does not extend a window when the clock is set back", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const one = limiter({ limit: 1 });
    expect(await passed(2, () => one.consume("back"))).toBe(1);
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(await passed(2, () => one.consume("back"))).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(await passed(2, () => one.consume("back"))).toBe(1);
  });

  it("leaves no timer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const one = limiter({ limit: 1 });
    await passed(2, () => one.consume("timers"));
    expect(vi.getTimerCount()).toBe(0);
  });
});

it("a limiter without a client creates one in the option `region`", async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  const { region, credentials } = LOCAL;
  vi.stubEnv("AWS_ENDPOINT_URL_DYNAMODB", inject("dynamoDBEndpoint"));
  vi.stubEnv("AWS_ACCESS_KEY_ID", credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", credentials.secretAccessKey);
  vi.stubEnv("AWS_REGION", undefined);
  const options = { tableName: tables.rateLimitTableName, timeoutMs: CALL_TIMEOUT_MS, limit: 2 };
  const one = dynamoDBRateLimiter({ ...options, region });
  expect(await passed(5, () => one.consume("own client"))).toBe(2);
});

describe("the default limits, with connects in DynamoDB", () => {
  it("refuse an address's eleventh connect in a minute across containers", async () => {
    const containers = [makeApp(), makeApp()] as const;
    const statuses: number[] = [];
    for (let n = 0; n < 12; n++) statuses.push(await containers[n % 2]!.connect("198.51.100.1"));
    expect(statuses).toEqual([...Array(10).fill(200), 429, 429]);
    expect(await containers[0].connect("198.51.100.2")).toBe(200);
  });

  it("store only the count of an address, under the key of the limit", async () => {
    const before = Date.now();
    await makeApp().connect("198.51.100.3");
    const after = Date.now();
    const { Items = [] } = await client.send(new ScanCommand({ TableName: tables.rateLimitTableName }));
    const item = Items.find(({ key }) => key?.S?.includes("198.51.100.3"));
    expect(item).toEqual({
      key: { S: "rlflx:connects:ip:198.51.100.3" },
      points: { N: "1" },
      expire: { N: expect.any(String) },
    });
    const expiresAt = Number(item?.expire?.N) * 1_000;
    // The TTL has a resolution of one second.
    expect(expiresAt).toBeGreaterThan(before + 59_000);
    expect(expiresAt).toBeLessThanOrEqual(after + 60_000);
  });

  it("count messages in memory without a request", async () => {
    const { client: counting, requests } = counted();
    const { say, connections } = makeApp({ limiter: limiter({ client: counting }) });
    for (let n = 0; n < 101; n++) await say();
    expect(connections.sent).toHaveLength(1);
    expect(connections.sent[0]?.data).toContain("RATE_LIMITED");
    expect(requests()).toBe(0);
  });
});

describe("while DynamoDB is unavailable", () => {
  /** A server that accepts connections and never responds. */
  async function hanging(): Promise<DynamoDBClient> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credentials = { accessKeyId: "local", secretAccessKey: "local" };
    const made = new DynamoDBClient({ endpoint, region: "us-east-1", credentials });
    onTestFinished(() => {
      made.destroy();
      server.close();
    });
    return made;
  }

  it("refuses a connect with 503 when DynamoDB hangs", async () => {
    const { connect, logged } = makeApp({ limiter: limiter({ client: await hanging(), timeoutMs: 100 }) });
    expect(await connect("198.51.100.4")).toBe(503);
    expect(logged).toMatchObject([{ fields: { code: "UNAVAILABLE" } }]);
  });

  it("allows a connect when the limit fails open, and logs it", async () => {
    const { connect, logged } = makeApp({
      limiter: limiter({ client: await hanging(), timeoutMs: 50 }),
      onStoreFailure: "open",
    });
    expect(await connect("198.51.100.5")).toBe(200);
    expect(logged).toMatchObject([{ message: "The store of the rate limit failed; the event passes" }]);
  });

  it("refuses a connect with 503 when the table is missing or throttled", async () => {
    expect(await makeApp({ limiter: limiter({ tableName: "missing" }) }).connect("198.51.100.6")).toBe(503);
    const throttled = localClient();
    injectFaults(throttled, () => THROTTLED);
    expect(await makeApp({ limiter: limiter({ client: throttled }) }).connect("198.51.100.6")).toBe(503);
  });

  it("constructs, so that a process can start", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown) => void rejections.push(reason);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const { client: counting, requests } = counted();
    limiter({ tableName: "missing", client: counting });
    await new Promise((resolve) => setImmediate(resolve));
    expect([rejections, requests()]).toEqual([[], 0]);
  });
});

it.each([
  ["no table", {}],
  ["a limit of 0", { tableName: "t", limit: 0 }],
  ["an endless window", { tableName: "t", windowMs: Number.POSITIVE_INFINITY }],
  ["no time", { tableName: "t", timeoutMs: 0 }],
  ["a client that is none", { tableName: "t", client: {} }],
  ["an unknown option", { tableName: "t", points: 10 }],
])("rejects options with %s", (_what, options) => {
  expect(() => dynamoDBRateLimiter(options as never)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION" }),
  );
});
