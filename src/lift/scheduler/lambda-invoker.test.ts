import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lambdaInvoker } from "../index.ts";

const credentials = { accessKeyId: "local", secretAccessKey: "local" };

let requests: { path: string; headers: IncomingMessage["headers"]; body: string }[];
let statuses: number[];
let endpoint: string;
let close: () => Promise<unknown>;

beforeEach(async () => {
  requests = [];
  statuses = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push({
      path: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    const status = statuses.shift() ?? 202;
    response.writeHead(status, status === 404 ? { "x-amzn-errortype": "ResourceNotFoundException" } : {});
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = async () => {
    server.closeAllConnections();
    server.close();
  };
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await close();
});

it("invokes a function asynchronously, by a signed request", async () => {
  const invoke = lambdaInvoker({ functionName: "worker", region: "eu-west-1", endpoint, credentials });
  expect(await invoke({ id: "é" })).toBeUndefined();
  expect(requests).toMatchObject([
    {
      path: "/2015-03-31/functions/worker/invocations",
      headers: {
        "x-amz-invocation-type": "Event",
        authorization: expect.stringMatching(/^AWS4-HMAC-SHA256 Credential=local\/\d+\/eu-west-1\/lambda\//),
      },
      body: '{"id":"é"}',
    },
  ]);
});

it("takes an ARN, and its settings from the environment", async () => {
  vi.stubEnv("AWS_ENDPOINT_URL_LAMBDA", endpoint);
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
  await lambdaInvoker({ functionName: "arn:aws:lambda:us-east-1:000000000000:function:worker" })({});
  expect(decodeURIComponent(requests[0]?.path ?? "")).toBe(
    "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:worker/invocations",
  );
});

it("retries a throttled call, and rejects with AWS's error otherwise", async () => {
  const invoke = lambdaInvoker({ functionName: "worker", region: "us-east-1", endpoint, credentials });
  statuses = [429, 503, 202];
  await invoke({});
  expect(requests).toHaveLength(3);
  statuses = [404];
  await expect(invoke({})).rejects.toMatchObject({ name: "ResourceNotFoundException" });
});

it("calls the region's endpoint by default, signed with the credentials of a function", async () => {
  vi.stubEnv("AWS_ENDPOINT_URL_LAMBDA", undefined);
  const locked = () => Promise.reject(new Error("The credentials are locked"));
  const invoke = lambdaInvoker({ functionName: "worker", region: "eu-west-1", credentials: locked });
  await expect(invoke({})).rejects.toThrow("locked");
});

it("rejects invalid options, and a call without a region", async () => {
  const invalid = (option: string) =>
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(option) });
  expect(() => lambdaInvoker({} as never)).toThrow(invalid("functionName"));
  expect(() => lambdaInvoker({ functionName: "worker", endpoint: "x" })).toThrow(invalid("endpoint"));
  expect(() => lambdaInvoker({ functionName: "worker", type: "Event" } as never)).toThrow(invalid("type"));
  expect(() => lambdaInvoker({ functionName: "worker", credentials: "x" as never })).toThrow(
    invalid("credentials"),
  );
  vi.stubEnv("AWS_REGION", undefined);
  vi.stubEnv("AWS_ENDPOINT_URL_LAMBDA", undefined);
  await expect(lambdaInvoker({ functionName: "worker", credentials })({})).rejects.toThrow("AWS_REGION");
});
