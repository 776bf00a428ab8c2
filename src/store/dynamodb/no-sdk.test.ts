import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { dynamoDBConnectionStore, dynamoDBStores, type NoSdkConnectionStoreOptions } from "./no-sdk.ts";

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const exception = (name: string, members: object = {}): Answer => ({
  status: 400,
  body: { __type: `com.amazonaws.dynamodb.v20120810#${name}`, ...members },
});
const THROTTLED = exception("ProvisionedThroughputExceededException");
const ROW = {
  id: "a",
  metadata: {},
  state: {},
  sourceIp: "192.0.2.1",
  endpoint: "https://api.example.com/test",
  connectedAt: 0,
  expiresAt: Date.UTC(2100, 0, 1),
};
const TOMBSTONE = { ConnectionID: { S: "a" }, Kind: { S: "tombstone" }, LiveUntil: { N: "1" } };

let server: Server;
let endpoint: string;
let asked: { headers: IncomingHttpHeaders; body: unknown }[];
/** Responses in order; afterwards an empty object, the response to a successful write. */
let answers: Answer[];

beforeEach(async () => {
  asked = [];
  answers = [];
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    asked.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
    const { status, body } = answers.shift() ?? { status: 200, body: {} };
    response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.stubEnv("AWS_REGION", "eu-west-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKID");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  vi.stubEnv("AWS_SESSION_TOKEN", "token");
});

afterEach(() => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
});

const make = (options: Partial<NoSdkConnectionStoreOptions> = {}) =>
  dynamoDBConnectionStore({ tableName: "t", endpoint, ...options });

describe("DynamoDB store without the AWS SDK", () => {
  it("signs requests with credentials from the function's environment", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
    await dynamoDBConnectionStore({ tableName: "t" }).get("a");
    expect(asked).toMatchObject([
      {
        headers: {
          "content-type": "application/x-amz-json-1.0",
          "x-amz-target": "DynamoDB_20120810.GetItem",
          "x-amz-security-token": "token",
          authorization: expect.stringMatching(
            /^AWS4-HMAC-SHA256 Credential=AKID\/\d{8}\/eu-west-1\/dynamodb\/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, /,
          ),
        },
        body: { TableName: "t", Key: { ConnectionID: { S: "a" } }, ConsistentRead: true },
      },
    ]);
  });

  it.each([
    ["throttles it", THROTTLED],
    ["fails", { status: 500, body: "" }],
    ["fails in front of the service", { status: 502, body: "<html>" }],
  ])("retries when DynamoDB %s", async (_what, answer) => {
    answers = [answer, answer];
    expect(await make().save(ROW)).toBe(true);
    expect(asked).toHaveLength(3);
  });

  it("reports why it stopped retrying", async () => {
    answers = Array(1_000).fill(THROTTLED);
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    server.on("request", () => void vi.advanceTimersByTime(5_000));
    await expect(make({ timeoutMs: 10_000 }).save(ROW)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      cause: { name: "ProvisionedThroughputExceededException" },
    });
  });

  it.each([
    ["AccessDeniedException", { message: "User is not authorized" }, /not authorized/],
    [
      "InvalidSignatureException",
      { message: "The request was: c2Vzc2lvbg" },
      /^InvalidSignatureException \(400\)$/,
    ],
  ])("does not retry %s, and repeats no secret", async (name, members, message) => {
    answers = [exception(name, members)];
    const error = await make()
      .save(ROW)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "STORE_REFUSED",
      cause: { name, message: expect.stringMatching(message) },
    });
    expect(inspect(error, { depth: null, showHidden: true, getters: true })).not.toContain("c2Vzc2lvbg");
    expect(asked).toHaveLength(1);
  });

  it("reads the items that failed a condition and a transaction", async () => {
    answers = [exception("ConditionalCheckFailedException", { Item: TOMBSTONE })];
    expect(await make().save(ROW)).toBe(false);
    const reasons = [{ Code: "ConditionalCheckFailed", Item: TOMBSTONE }, { Code: "None" }];
    answers = [exception("TransactionCanceledException", { CancellationReasons: reasons })];
    expect(await make({ maxConnections: 10 }).save(ROW)).toBe(false);
  });

  it("names a missing signing credential", async () => {
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", undefined);
    const missing = { code: "STORE_REFUSED", cause: { name: "AwsConfigurationError" } };
    await expect(make().get("a")).rejects.toMatchObject(missing);
    vi.stubEnv("AWS_REGION", undefined);
    await expect(make().get("a")).rejects.toMatchObject(missing);
    await expect(dynamoDBConnectionStore({ tableName: "t" }).get("a")).rejects.toMatchObject(missing);
    expect(asked).toEqual([]);
  });

  it.each([
    [{ endpoint: "nope" }, /endpoint/],
    [{ credentials: "AKID:secret" }, /^`credentials` must be .*; got a string$/],
    [{ credentials: null }, /^`credentials` must be .*; got null$/],
    [{ client: {} }, /Unknown option `client`/],
  ])("rejects the options %o", (options, message) => {
    expect(() => make(options as never)).toThrow(message);
  });
});

// Lambda gives a function a whole CPU while it starts, and TLS takes 5 ms of it.
it.each([
  ["https, which AWS speaks, by default", undefined, "node:https"],
  ["http for an endpoint on this machine", "http://127.0.0.1:8000", "node:http"],
])("loads the client for %s, before the first call", (_title, url, module) => {
  vi.stubEnv("AWS_ENDPOINT_URL_DYNAMODB", url);
  const load = vi.spyOn(process, "getBuiltinModule");
  onTestFinished(() => {
    vi.unstubAllEnvs();
    load.mockRestore();
  });
  dynamoDBConnectionStore({ tableName: "rows" });
  expect(load.mock.calls).toEqual([[module]]);
});

describe("the stores of an environment", () => {
  const tables = {
    CONNECTIONS_TABLE: "connections",
    SCHEDULE_TABLE: "schedule",
    MESSAGES_TABLE: "messages",
    MEMBERS_TABLE: "members",
  };

  it("have requests if their table is named", () => {
    expect(dynamoDBStores(tables).store.requests).toBeUndefined();
    expect(dynamoDBStores({ ...tables, REQUESTS_TABLE: "requests" }).store.requests).toBeDefined();
  });

  it.each(Object.keys(tables))("name a missing variable: %s", (name) => {
    expect(() => dynamoDBStores({ ...tables, [name]: "" })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
    );
  });
});
