import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { dynamoDBFlag, ssmFlag } from "../index.ts";

/** A service that gives one answer and records requests. */
async function serve(status: number, answer: object) {
  const requests: { readonly headers: IncomingHttpHeaders; readonly body: unknown }[] = [];
  const server = createServer(async (request, response) => {
    requests.push({ headers: request.headers, body: JSON.parse(await text(request)) });
    response.writeHead(status).end(JSON.stringify(answer));
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

it("sources reject unknown and missing options", () => {
  const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
  expect(() => ssmFlag({} as never)).toThrow(invalid);
  expect(() => dynamoDBFlag({ tableName: "t" } as never)).toThrow(invalid);
  expect(() => ssmFlag({ name: "a", ttl: 5 } as never)).toThrow(invalid);
});
