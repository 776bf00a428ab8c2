import { getEventListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lift } from "../index.ts";
import { lambdaContext, messageEvent } from "../testing/index.ts";
import { type AwsConnectionsOptions, awsConnections } from "./aws.ts";
import { sdkTransport } from "./aws-sdk.ts";
import { httpTransport } from "./transport.ts";

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body?: string;
}

const SENT: Answer = { status: 200 };
const GONE: Answer = { status: 410, type: "GoneException" };
const THROTTLED: Answer = { status: 429, type: "LimitExceededException", body: "{}" };
const FORBIDDEN: Answer = { status: 403, type: "ForbiddenException", body: "{}" };
const BROKEN: Answer = { status: 500 };

/** A fake of the service. It sends the given responses and records requests. */
class Service {
  readonly requests: { method: string; path: string; body: string; signed: boolean }[] = [];
  /** Responses by connection id, in order; the last one repeats. "hang up" closes the socket. Other ids get 200. */
  readonly answers = new Map<string, (Answer | "hang up")[]>();
  underWay = 0;
  mostUnderWay = 0;
  connections = 0;
  /** Requests whose client closed its socket before the response. */
  cancelled = 0;
  #open: Promise<void> = Promise.resolve();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on("connection", () => this.connections++);
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/dev`;
  }

  /** Holds back all responses until the returned function is called. */
  hold(): () => void {
    let answer: () => void = () => {};
    this.#open = new Promise((resolve) => {
      answer = resolve;
    });
    return answer;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = decodeURIComponent(request.url ?? "");
    this.requests.push({
      method: request.method ?? "",
      path,
      body: Buffer.concat(chunks).toString(),
      signed: request.headers.authorization?.startsWith("AWS4-HMAC-SHA256") ?? false,
    });
    response.once("close", () => {
      if (!response.writableFinished) this.cancelled++;
    });
    await this.#open;
    this.underWay--;
    const answers = this.answers.get(path.split("/").at(-1) ?? "") ?? [SENT];
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? SENT;
    if (answer === "hang up") {
      request.socket.destroy();
      return;
    }
    const type = answer.type === undefined ? {} : { "x-amzn-errortype": answer.type };
    response.writeHead(answer.status, { "content-type": "application/json", ...type }).end(answer.body);
  }
}

let service: Service;
let endpoint: string;

beforeEach(async () => {
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
  service = new Service();
  endpoint = await service.start();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await service.stop();
});

describe.each([
  ["HTTP", httpTransport],
  ["AWS SDK's", sdkTransport()],
])("connections by the %s transport", (_name, transport) => {
  const make = (options: Partial<AwsConnectionsOptions> = {}) =>
    awsConnections({ endpoint, transport, ...options });

  it("post the raw bytes, signed", async () => {
    expect(await make().post("abc=", "grüße")).toBe("sent");
    expect(service.requests).toEqual([
      { method: "POST", path: "/dev/@connections/abc=", body: "grüße", signed: true },
    ]);
  });

  it.each([
    ["GoneException", 410, "gone"],
    ["BadRequestException", 400, "BAD_REQUEST"],
    ["ForbiddenException", 403, "FORBIDDEN"],
    ["PayloadTooLargeException", 413, "PAYLOAD_TOO_LARGE"],
    ["SomethingElse", 418, "UNAVAILABLE"],
  ])("report %s at once", async (type, status, code) => {
    service.answers.set("x", [{ status, type, body: "{}" }]);
    const outcome: unknown = await make()
      .post("x", "hi")
      .catch((error: unknown) => error);
    if (code === "gone") expect(outcome).toBe(code);
    else expect(outcome).toMatchObject({ code, cause: { name: type } });
    expect(service.requests).toHaveLength(1);
  });

  it("report gone from get and disconnect, too", async () => {
    service.answers.set("x", [GONE]);
    expect(await make().get("x")).toBeUndefined();
    expect(await make().disconnect("x")).toBe(false);
    service.answers.set("y", [{ status: 204 }]);
    expect(await make().disconnect("y")).toBe(true);
  });

  it("return when a connection was opened", async () => {
    const info = (identity: object): Answer => ({
      status: 200,
      body: JSON.stringify({
        identity,
        connectedAt: "2020-11-15T12:23:14.726Z",
        lastActiveAt: "2020-11-15T12:23:14.972Z",
      }),
    });
    service.answers.set("x", [info({ sourceIp: "1.2.3.4", userAgent: "agent" })]);
    service.answers.set("y", [info({ sourceIp: "1.2.3.4" })]);
    const times = {
      connectedAt: Date.UTC(2020, 10, 15, 12, 23, 14, 726),
      lastActiveAt: Date.UTC(2020, 10, 15, 12, 23, 14, 972),
    };
    expect(await make().get("x")).toStrictEqual({
      ...times,
      identity: { sourceIp: "1.2.3.4", userAgent: "agent" },
    });
    expect(await make().get("y")).toStrictEqual({ ...times, identity: { sourceIp: "1.2.3.4" } });
  });

  it.each([
    ["429", THROTTLED],
    ["5xx", BROKEN],
    ["a connection that breaks off", "hang up"],
  ] as const)("retry after %s, once per failure", async (_what, failure) => {
    service.answers.set("x", [failure, failure, SENT]);
    expect(await make().post("x", "hi")).toBe("sent");
    expect(service.requests).toHaveLength(3);
  });

  it.each([
    [THROTTLED, "LIMIT_EXCEEDED"],
    [BROKEN, "UNAVAILABLE"],
  ])("stop retrying when the time is over: %o", async (failure, code) => {
    service.answers.set("x", [failure]);
    await expect(make({ timeoutMs: 100 }).post("x", "hi")).rejects.toMatchObject({ code });
    const budget = { getRemainingTimeInMillis: () => 400 };
    await expect(make().post("x", "hi", { budget })).rejects.toMatchObject({ code });
  });

  it("stop in time when the credentials do not resolve", async () => {
    const credentials = () => new Promise<never>(() => {});
    const late = make({ credentials, timeoutMs: 50 });
    await expect(late.post("x", "hi")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const controller = new AbortController();
    const post = make({ credentials }).post("x", "hi", { signal: controller.signal });
    controller.abort();
    await expect(post).rejects.toBe(controller.signal.reason);
  });

  it("broadcast with a result per recipient, in order, with limited concurrency and reused sockets", async () => {
    service.answers.set("c3", [GONE]);
    service.answers.set("c5", [FORBIDDEN]);
    service.answers.set("c7", [THROTTLED, SENT]);
    const ids = Array.from({ length: 40 }, (_, n) => `c${n}`);
    const connections = make({ concurrency: 4 });
    const answer = service.hold();
    const broadcast = connections.broadcast(ids, "hi", { results: true });
    await vi.waitUntil(() => service.underWay === 4);
    answer();
    const { results, ...counts } = await broadcast;
    expect(counts).toEqual({ sent: 38, gone: 1, connecting: 0, failed: 1 });
    expect(results?.map((result) => result.connectionId)).toEqual(ids);
    expect(results?.[3]?.outcome).toBe("gone");
    expect(results?.[5]).toMatchObject({ outcome: "failed", error: { code: "FORBIDDEN" } });
    expect(service.mostUnderWay).toBe(4);
    await connections.broadcast(ids, "hi");
    expect(service.connections).toBeLessThanOrEqual(4);
  });

  it("return the recipients in progress when the time is over", async () => {
    const answer = service.hold();
    const connections = make({ concurrency: 2 });
    const budget = { getRemainingTimeInMillis: () => 320 };
    const report = await connections.broadcast(["a", "b", "c"], "hi", { budget });
    expect(report).toMatchObject({ sent: 0, failed: 0 });
    answer();
    const rest = await connections.broadcast(report.remaining ?? [], "hi");
    expect(rest).toEqual({ sent: 3, gone: 0, connecting: 0, failed: 0 });
  });

  it("reject a message that is too large before anything is sent", async () => {
    const large = "ü".repeat(65_537);
    await expect(make().post("x", large)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    await expect(make().broadcast(["x"], large)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(service.requests).toEqual([]);
  });

  it("reject with the signal's reason, before and during a call", async () => {
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(make().post("x", "hi", { signal })).rejects.toThrow("too late");
    expect(service.requests).toEqual([]);
    const controller = new AbortController();
    service.hold();
    const waiting = make().post("x", "hi", { signal: controller.signal });
    await vi.waitUntil(() => service.requests.length === 1);
    controller.abort(new Error("no longer"));
    await expect(waiting).rejects.toThrow("no longer");
  });

  it.each(["post", "get", "disconnect"] as const)("end the request of a %s that is aborted", async (call) => {
    const controller = new AbortController();
    service.hold();
    const { signal } = controller;
    const waiting = call === "post" ? make().post("x", "hi", { signal }) : make()[call]("x", { signal });
    await vi.waitUntil(() => service.requests.length === 1);
    controller.abort(new Error("no longer"));
    await expect(waiting).rejects.toThrow("no longer");
    await vi.waitUntil(() => service.cancelled === 1);
  });

  it("leave no listener on a signal that outlives the call", async () => {
    const { signal } = new AbortController();
    await make().post("x", "hi", { signal });
    await make()
      .get("y", { signal })
      .catch(() => {});
    await make().broadcast(["z"], "hi", { signal });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("use the given credentials", async () => {
    const credentials = async () => ({ accessKeyId: "a", secretAccessKey: "b" });
    expect(await make({ credentials }).post("x", "hi")).toBe("sent");
    const failing = async () => {
      throw Object.assign(new Error("none"), { name: "CredentialsProviderError" });
    };
    await expect(make({ credentials: failing }).post("x", "hi")).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(service.requests).toHaveLength(1);
  });
});

describe("awsConnections", () => {
  it("report missing credentials and send nothing", async () => {
    const connections = awsConnections({ endpoint });
    vi.stubEnv("AWS_ACCESS_KEY_ID", "");
    await expect(connections.post("x", "hi")).rejects.toMatchObject({
      code: "FORBIDDEN",
      message: expect.stringContaining("AWS_ACCESS_KEY_ID"),
    });
    vi.stubEnv("AWS_REGION", undefined);
    const { failed, results } = await awsConnections({ endpoint }).broadcast(["x"], "hi", { results: true });
    expect([failed, results?.[0]]).toMatchObject([1, { error: { code: "FORBIDDEN" } }]);
    expect(service.requests).toEqual([]);
  });

  it.each([
    [{ endpoint: "nope" }, /endpoint/],
    [{ endpoint: "ftp://example.com" }, /endpoint/],
    [{}, /endpoint/],
    [{ endpoint: "https://example.com", concurrency: 0 }, /concurrency/],
    [{ endpoint: "https://example.com", timeoutMs: 0 }, /timeoutMs/],
    [{ endpoint: "https://example.com", credentials: null }, /credentials/],
    [{ endpoint: "https://example.com", retries: 3 }, /Unknown option `retries`/],
  ])("rejects %o", (options, message) => {
    expect(() => awsConnections(options as AwsConnectionsOptions)).toThrow(message);
  });
});

describe("the AWS SDK's transport", () => {
  it("returns a connection although the service says nothing about it", async () => {
    service.answers.set("x", [{ status: 200, body: "{}" }]);
    expect(await awsConnections({ endpoint, transport: sdkTransport() }).get("x")).toStrictEqual({
      connectedAt: 0,
      lastActiveAt: 0,
      identity: { sourceIp: "" },
    });
  });
});

describe("an app's connections", () => {
  const run = async (app: Lift, domainName: string) => {
    app.webSocket("a", async (ctx) => void (await ctx.reply({ hello: 1 })));
    const handler = app.webSocketHandler();
    const event = messageEvent("a", {}, { requestContext: { domainName } });
    await handler(event, lambdaContext());
    await handler(event, lambdaContext());
  };

  it("use AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI by default", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", endpoint);
    await run(new Lift(), "redirected.example.com");
    expect(service.requests[0]).toMatchObject({
      path: "/dev/@connections/L0SM9cOFvHcCIhw=",
      body: '{"hello":1}',
    });
    expect(service.connections).toBe(1);
  });

  it("are created once per endpoint", async () => {
    const asked: string[] = [];
    const connections = (at: string) => {
      asked.push(at);
      return awsConnections({ endpoint, transport: sdkTransport() });
    };
    await run(new Lift({ connections }), "api.example.com");
    expect(asked).toEqual(["https://api.example.com/test"]);
    expect(service.requests).toHaveLength(2);
  });
});
