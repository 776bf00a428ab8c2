import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { AwsCredentials } from "./credentials.ts";
import { AwsEndpoint, AwsServiceError, parseRegion } from "./http.ts";

describe("the region of an endpoint", () => {
  it.each([
    ["https://abc.execute-api.eu-west-1.amazonaws.com/prod", "eu-west-1"],
    ["https://dynamodb.us-gov-west-1.amazonaws.com", "us-gov-west-1"],
    ["https://abc.execute-api.cn-north-1.amazonaws.com.cn/prod", "cn-north-1"],
    ["https://vpce-1.execute-api.us-east-1.vpce.amazonaws.com/prod", "us-east-1"],
    ["https://dynamodb.ap-southeast-2.api.aws", "ap-southeast-2"],
    ["https://ws.eu-west-1.example.com/prod", undefined],
    ["http://127.0.0.1:3001/dev", undefined],
  ])("is read from %s", (endpoint, region) => {
    expect(parseRegion(endpoint)).toBe(region);
  });

  it("is required", () => {
    vi.stubEnv("AWS_REGION", undefined);
    const options = { service: "execute-api", maxSockets: 1 };
    expect(() => new AwsEndpoint({ ...options, endpoint: "https://ws.example.com" })).toThrow(/AWS_REGION/);
    expect(
      () => new AwsEndpoint({ ...options, endpoint: "https://ws.example.com", region: "eu-west-1" }),
    ).not.toThrow();
    vi.unstubAllEnvs();
  });
});

describe("a request", () => {
  it("is not sent when its credentials arrive past its deadline", async () => {
    const asked: unknown[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.end();
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    let give = (_credentials: AwsCredentials) => {};
    const given = new Promise<AwsCredentials>((resolve) => {
      give = resolve;
    });
    const endpoint = new AwsEndpoint({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      service: "execute-api",
      region: "eu-west-1",
      maxSockets: 1,
      credentials: () => given,
    });
    const controller = new AbortController();
    const sent = endpoint.send({ method: "POST", path: "/late", signal: controller.signal });
    controller.abort();
    give({ accessKeyId: "AKID", secretAccessKey: "secret" });
    await expect(sent).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
    await endpoint.send({ method: "POST", path: "/next", signal: new AbortController().signal });
    expect(asked).toEqual(["/next"]);
  });
});

describe("a response that is not 2xx", () => {
  it("throws an error with the service's message", () => {
    const error = new AwsServiceError(400, "ValidationException", { message: "too long" });
    expect(error).toMatchObject({
      message: "ValidationException (400): too long",
      $metadata: { httpStatusCode: 400 },
    });
  });

  it.each(["InvalidSignatureException", "SignatureDoesNotMatch"])(
    "omits the request that the service quotes in %s",
    (name) => {
      const message = "The Canonical String should have been 'POST\nx-amz-security-token:c2Vzc2lvbg\n\nhost'";
      const error = new AwsServiceError(403, name, { message, other: message });
      expect(error.message).toBe(`${name} (403)`);
      expect(JSON.stringify({ ...error })).not.toContain("c2Vzc2lvbg");
      expect(inspect(error, { depth: 9, showHidden: true, getters: true })).not.toContain("c2Vzc2lvbg");
      expect(error.getField("other")).toBe(message);
    },
  );
});
