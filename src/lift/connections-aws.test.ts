import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { awsConnections, awsConnectionsAt } from "./connections-aws.ts";
import { Lift } from "./index.ts";
import { lambdaContext, messageEvent } from "./testing.ts";

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body?: string;
}

describe("the AWS SDK's connections", () => {
  let server: Server;
  let endpoint: string;
  let requests: { method: string; path: string; body: string; signed: boolean }[];
  let underWay: number;
  let mostUnderWay: number;
  /** By connection id; 200 for the others. */
  let answers: Map<string, Answer>;

  beforeEach(async () => {
    vi.stubEnv("AWS_REGION", "us-east-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
    requests = [];
    answers = new Map();
    underWay = mostUnderWay = 0;
    server = createServer(async (request, response) => {
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      const id = decodeURIComponent(request.url?.split("/").at(-1) ?? "");
      const body = await bodyOf(request);
      const signed = request.headers.authorization?.startsWith("AWS4-HMAC-SHA256") ?? false;
      requests.push({
        method: request.method ?? "",
        path: decodeURIComponent(request.url ?? ""),
        body,
        signed,
      });
      const answer = answers.get(id) ?? { status: 200 };
      underWay--;
      const type = answer.type === undefined ? {} : { "x-amzn-errortype": answer.type };
      response.writeHead(answer.status, { "content-type": "application/json", ...type }).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dev`;
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("post the raw bytes, signed", async () => {
    const connections = awsConnections({ endpoint });
    expect(await connections.post("abc=", "grüße")).toBe("sent");
    expect(requests).toEqual([
      { method: "POST", path: "/dev/@connections/abc=", body: "grüße", signed: true },
    ]);
  });

  it.each([
    ["GoneException", 410, "gone"],
    ["BadRequestException", 400, "BAD_REQUEST"],
    ["ForbiddenException", 403, "FORBIDDEN"],
    ["LimitExceededException", 429, "LIMIT_EXCEEDED"],
    ["PayloadTooLargeException", 413, "PAYLOAD_TOO_LARGE"],
    ["SomethingElse", 418, "UNAVAILABLE"],
  ])("tell %s as what it is", async (type, status, code) => {
    answers.set("x", { status, type, body: "{}" });
    const connections = awsConnections({ endpoint });
    const outcome = connections.post("x", "hi").catch((error: { code: string }) => error.code);
    expect(await outcome).toBe(code);
  });

  it("know gone in get and disconnect too", async () => {
    answers.set("x", { status: 410, type: "GoneException" });
    const connections = awsConnections({ endpoint });
    expect(await connections.get("x")).toBeUndefined();
    expect(await connections.disconnect("x")).toBe(false);
    answers.set("y", { status: 204 });
    expect(await connections.disconnect("y")).toBe(true);
  });

  it("tell since when a connection stands", async () => {
    answers.set("x", {
      status: 200,
      body: JSON.stringify({
        identity: { sourceIp: "1.2.3.4", userAgent: "agent" },
        connectedAt: "2020-11-15T12:23:14.726Z",
        lastActiveAt: "2020-11-15T12:23:14.972Z",
      }),
    });
    expect(await awsConnections({ endpoint }).get("x")).toEqual({
      connectedAt: Date.UTC(2020, 10, 15, 12, 23, 14, 726),
      lastActiveAt: Date.UTC(2020, 10, 15, 12, 23, 14, 972),
      identity: { sourceIp: "1.2.3.4", userAgent: "agent" },
    });
  });

  it("broadcast a result for each, in order, so many at a time", async () => {
    answers.set("c3", { status: 410, type: "GoneException" });
    answers.set("c5", { status: 403, type: "ForbiddenException", body: "{}" });
    const ids = Array.from({ length: 40 }, (_, n) => `c${n}`);
    const results = await awsConnections({ endpoint, concurrency: 4 }).broadcast(ids, "hi");
    expect(results.map((result) => result.connectionId)).toEqual(ids);
    expect(results[3]?.outcome).toBe("gone");
    expect(results[5]).toMatchObject({ outcome: "failed", error: { code: "FORBIDDEN" } });
    expect(results.filter((result) => result.outcome === "sent")).toHaveLength(38);
    expect(mostUnderWay).toBeLessThanOrEqual(4);
  });

  it("refuse what is too large before anything is sent", async () => {
    const connections = awsConnections({ endpoint });
    const large = "ü".repeat(65_537);
    await expect(connections.post("x", large)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    await expect(connections.broadcast(["x"], large)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(requests).toEqual([]);
  });

  it("reject with the signal's reason", async () => {
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(awsConnections({ endpoint }).post("x", "hi", { signal })).rejects.toThrow("too late");
    expect(requests).toEqual([]);
  });

  it("are kept for each endpoint", () => {
    const first = awsConnectionsAt("https://a.example.com/dev");
    expect(awsConnectionsAt("https://a.example.com/dev")).toBe(first);
    expect(awsConnectionsAt("https://a.example.com/prod")).not.toBe(first);
  });

  it("go where AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI says, by default", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", endpoint);
    const app = new Lift();
    app.webSocket("a", async (ctx) => void (await ctx.reply({ hello: 1 })));
    const event = messageEvent("a", {}, { requestContext: { domainName: "redirected.example.com" } });
    await app.webSocketHandler()(event, lambdaContext());
    expect(requests).toMatchObject([{ path: "/dev/@connections/L0SM9cOFvHcCIhw=", body: '{"hello":1}' }]);
  });

  it("name what to install where the SDK is missing", async () => {
    vi.doMock("@aws-sdk/client-apigatewaymanagementapi", () => {
      throw new Error("Cannot find package");
    });
    await expect(awsConnections({ endpoint }).post("x", "hi")).rejects.toMatchObject({
      code: "SDK_MISSING",
      message: expect.stringContaining("npm install @aws-sdk/client-apigatewaymanagementapi"),
    });
    vi.doUnmock("@aws-sdk/client-apigatewaymanagementapi");
  });

  it("take no endpoint that is no URL, and no concurrency below one", () => {
    expect(() => awsConnections({ endpoint: "nope" })).toThrow(/endpoint/);
    expect(() => awsConnections({ endpoint, concurrency: 0 })).toThrow(/concurrency/);
  });
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
