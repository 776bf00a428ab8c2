import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { dynamoDBFlag, fileFlag, memoryFlag, ssmFlag } from "../index.ts";

interface Request {
  readonly operation: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly [name: string]: unknown };
}

/** A service that records requests. */
async function serveWith(answer: (request: Request) => readonly [status: number, body: object]) {
  const requests: Request[] = [];
  const server = createServer(async (incoming, response) => {
    const { headers } = incoming;
    const operation = String(headers["x-amz-target"]).split(".")[1] ?? "";
    const request = { operation, headers, body: JSON.parse(await text(incoming)) };
    requests.push(request);
    const [status, body] = answer(request);
    response.writeHead(status).end(JSON.stringify(body));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret" };
  return { requests, target: { endpoint, region: "eu-west-1", credentials } };
}

const serve = (status: number, answer: object) => serveWith(() => [status, answer]);

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lift-ws-flag-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

const { signal } = new AbortController();

it("ssmFlag reads a parameter with a signed request", async () => {
  const { requests, target } = await serve(200, { Parameter: { Value: "true" } });
  expect(await ssmFlag({ name: "/chat/lift-v2", ...target }).read(signal)).toBe("true");
  expect(requests[0]?.body).toEqual({ Name: "/chat/lift-v2", WithDecryption: true });
  expect(requests[0]?.headers).toMatchObject({
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "AmazonSSM.GetParameter",
    authorization: expect.stringContaining("/eu-west-1/ssm/aws4_request"),
  });
});

it("ssmFlag has no value for a missing parameter, and rejects for other errors", async () => {
  const missing = await serve(400, { __type: "ParameterNotFound" });
  expect(await ssmFlag({ name: "a", ...missing.target }).read(signal)).toBeUndefined();
  const denied = await serve(400, { __type: "AccessDeniedException" });
  await expect(ssmFlag({ name: "a", ...denied.target }).read(signal)).rejects.toThrow(
    "AccessDeniedException",
  );
});

it("dynamoDBFlag reads an attribute of a row", async () => {
  const { requests, target } = await serve(200, { Item: { Value: { S: "true" }, other: { BOOL: true } } });
  const options = { tableName: "flags", key: { name: { S: "lift" } }, ...target };
  expect(await dynamoDBFlag(options).read(signal)).toBe("true");
  expect(requests[0]?.body).toEqual({
    TableName: "flags",
    Key: { name: { S: "lift" } },
    ConsistentRead: true,
  });
  expect(await dynamoDBFlag({ ...options, attribute: "none" }).read(signal)).toBeUndefined();
  expect(await dynamoDBFlag({ ...options, attribute: "other" }).read(signal)).toBe('{"BOOL":true}');
});

it("dynamoDBFlag has no value without a row", async () => {
  const { target } = await serve(200, {});
  expect(
    await dynamoDBFlag({ tableName: "t", key: { id: { S: "a" } }, ...target }).read(signal),
  ).toBeUndefined();
});

/** Systems Manager with one parameter. `between` runs before a write is carried out. */
async function serveParameter(between: (write: (value: string) => void) => void = () => {}) {
  const versions: string[] = [];
  const requests: object[] = [];
  const server = await serveWith(({ operation, body }) => {
    if (operation === "PutParameter") {
      requests.push(body);
      between((value) => versions.push(value));
      if (!body.Overwrite && versions.length > 0) return [400, { __type: "ParameterAlreadyExists" }];
      return [200, { Version: versions.push(String(body.Value)) }];
    }
    const [, version = versions.length] = String(body.Name).split(":");
    const Value = versions[Number(version) - 1];
    return Value === undefined
      ? [400, { __type: "ParameterNotFound" }]
      : [200, { Parameter: { Value, Version: Number(version) } }];
  });
  return { flag: ssmFlag({ name: "/chat", ...server.target }), versions, requests };
}

const conflict = expect.objectContaining({ code: "CONFLICT" });

describe("ssmFlag writes", () => {
  it("a parameter that is missing, and then over its value", async () => {
    const { flag, requests } = await serveParameter();
    await flag.write("one", undefined, signal);
    await flag.write("two", "one", signal);
    expect(await flag.read(signal)).toBe("two");
    expect(requests).toEqual([
      { Name: "/chat", Value: "one", Overwrite: false, Type: "String" },
      { Name: "/chat", Value: "two", Overwrite: true },
    ]);
  });

  it("nothing over another value than the one that was read", async () => {
    const { flag, versions } = await serveParameter();
    await flag.write("one", undefined, signal);
    await expect(flag.write("two", undefined, signal)).rejects.toEqual(conflict);
    await expect(flag.write("two", "other", signal)).rejects.toEqual(conflict);
    expect(versions).toEqual(["one"]);
  });

  it("back the value of another operator who wrote at the same time", async () => {
    const others = ["first", "theirs"];
    const { flag, versions } = await serveParameter((write) => {
      const value = others.shift();
      if (value !== undefined) write(value);
    });
    await expect(flag.write("mine", undefined, signal)).rejects.toEqual(conflict);
    expect(versions).toEqual(["first"]);
    await expect(flag.write("mine", "first", signal)).rejects.toEqual(conflict);
    expect(versions).toEqual(["first", "theirs", "mine", "theirs"]);
  });
});

it("dynamoDBFlag writes over the value that was read, by a condition", async () => {
  const { requests, target } = await serve(200, {});
  const flag = dynamoDBFlag({ tableName: "flags", key: { name: { S: "lift" } }, ...target });
  await flag.write("two", "one", signal);
  await flag.write("one", undefined, signal);
  expect(requests.map(({ body }) => body)).toEqual([
    {
      TableName: "flags",
      Key: { name: { S: "lift" } },
      UpdateExpression: "SET #value = :next",
      ConditionExpression: "#value = :last",
      ExpressionAttributeNames: { "#value": "Value" },
      ExpressionAttributeValues: { ":next": { S: "two" }, ":last": { S: "one" } },
    },
    expect.objectContaining({
      ConditionExpression: "attribute_not_exists(#value)",
      ExpressionAttributeValues: { ":next": { S: "one" } },
    }),
  ]);
});

it("dynamoDBFlag knows its own write, whose answer was lost, from another operator's", async () => {
  const { target } = await serveWith(({ operation }) =>
    operation === "GetItem"
      ? [200, { Item: { Value: { S: "mine" } } }]
      : [400, { __type: "ConditionalCheckFailedException" }],
  );
  const flag = dynamoDBFlag({ tableName: "flags", key: { name: { S: "lift" } }, ...target });
  await flag.write("mine", "one", signal);
  await expect(flag.write("another", "one", signal)).rejects.toEqual(conflict);
});

describe.each([
  ["memoryFlag", () => memoryFlag()],
  ["fileFlag", async () => fileFlag(join(await temporaryFolder(), "flag"))],
])("%s", (_name, create) => {
  it("writes over the value that was read only", async () => {
    const flag = await create();
    expect(await flag.read(signal)).toBeUndefined();
    await flag.write("one", undefined, signal);
    await flag.write("two", "one", signal);
    await expect((async () => flag.write("three", "one", signal))()).rejects.toEqual(conflict);
    await expect((async () => flag.write("three", undefined, signal))()).rejects.toEqual(conflict);
    expect(await flag.read(signal)).toBe("two");
  });
});

describe("fileFlag", () => {
  it("lets one of many writers at once succeed", async () => {
    const folder = await temporaryFolder();
    const writers = Array.from({ length: 20 }, () => fileFlag(folder));
    const results = await Promise.allSettled(writers.map((flag, n) => flag.write(`${n}`, undefined, signal)));
    const winners = results.flatMap(({ status }, n) => (status === "fulfilled" ? [`${n}`] : []));
    expect(winners).toHaveLength(1);
    expect(await fileFlag(folder).read(signal)).toBe(winners[0]);
  });

  it("rejects a value that is older than those that are kept", async () => {
    const folder = await temporaryFolder();
    // The value is formatted after the last one was read: 40 others are written meanwhile, and the first 20 deleted.
    const value = {
      toString() {
        for (let n = 21; n <= 40; n++) writeFileSync(join(folder, `000000${n}.json`), `${n}`);
        return "late";
      },
    };
    await expect(fileFlag(folder).write(value as never, undefined, signal)).rejects.toEqual(conflict);
    expect(await fileFlag(folder).read(signal)).toBe("40");
  });

  it("deletes old values", async () => {
    const folder = await temporaryFolder();
    const flag = fileFlag(folder);
    for (let n = 0; n < 30; n++) await flag.write(`${n}`, n === 0 ? undefined : `${n - 1}`, signal);
    expect(await readdir(folder)).toHaveLength(20);
    expect(await flag.read(signal)).toBe("29");
  });
});

it("sources reject unknown and missing options", () => {
  const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
  expect(() => ssmFlag({} as never)).toThrow(invalid);
  expect(() => dynamoDBFlag({ tableName: "t" } as never)).toThrow(invalid);
  expect(() => ssmFlag({ name: "a", ttl: 5 } as never)).toThrow(invalid);
});
