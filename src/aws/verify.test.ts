import { createHash, createHmac } from "node:crypto";
import {
  ApiGatewayManagementApiClient,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import { isSigned, readPresigned, type SignedRequest, verifyPresigned } from "./verify.ts";

const CREDENTIALS = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const ID = "L0SM9cOFvHcCIhw=";

/** Returns the request that the AWS SDK would send. */
async function signedBySdk(
  command: PostToConnectionCommand | GetConnectionCommand = new PostToConnectionCommand({
    ConnectionId: ID,
    Data: Buffer.from("hello"),
  }),
): Promise<SignedRequest> {
  let sent: SignedRequest | undefined;
  const client = new ApiGatewayManagementApiClient({
    region: "eu-west-1",
    endpoint: "http://localhost:3001/dev",
    credentials: CREDENTIALS,
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: {
        method: string;
        path: string;
        headers: Record<string, string>;
        body?: Uint8Array;
      }) => {
        const headers = Object.fromEntries(
          Object.entries(request.headers).map(([name, v]) => [name.toLowerCase(), v]),
        );
        sent = { method: request.method, url: request.path, headers, body: request.body ?? new Uint8Array() };
        throw new Error("captured");
      },
    },
  });
  await client.send(command as PostToConnectionCommand).catch(() => {});
  if (!sent) throw new Error("The SDK has sent nothing");
  return sent;
}

/**
 * Signs as the IAM user guide describes, without the SDK, because the SDK always signs the host.
 * @param names the signed headers
 * @param changed headers that are sent with other values than signed
 */
function signedByHand(names: string, changed: { readonly [header: string]: string } = {}): SignedRequest {
  const time = new Date().toISOString().replace(/[:-]|\.\d+/g, "");
  const scope = `${time.slice(0, 8)}/eu-west-1/execute-api/aws4_request`;
  const signed: { [header: string]: string } = { host: "localhost:3001", "x-amz-date": time };
  const lines = names.split(";").map((name) => `${name}:${signed[name]}`);
  const canonical = ["GET", "/dev", "", ...lines, "", names, sha256("")].join("\n");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const key = scope.split("/").reduce<string | Buffer>(hmac, `AWS4${CREDENTIALS.secretAccessKey}`);
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`).toString("hex");
  const credential = `${CREDENTIALS.accessKeyId}/${scope}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return {
    method: "GET",
    url: "/dev",
    headers: { ...signed, ...changed, authorization },
    body: new Uint8Array(),
  };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const isValid = (request: SignedRequest, now = Date.now()) => isSigned(request, [CREDENTIALS], now);

describe("isSigned", () => {
  it("accepts requests that the AWS SDK signs", async () => {
    expect(isValid(await signedBySdk())).toBe(true);
    expect(isValid(await signedBySdk(new GetConnectionCommand({ ConnectionId: ID })))).toBe(true);
  });

  it("refuses a signature with another secret", async () => {
    const request = await signedBySdk();
    expect(isSigned(request, [{ ...CREDENTIALS, secretAccessKey: "other" }], Date.now())).toBe(false);
  });

  it("refuses an unknown access key", async () => {
    const request = await signedBySdk();
    expect(isSigned(request, [{ ...CREDENTIALS, accessKeyId: "AKIDOTHER" }], Date.now())).toBe(false);
  });

  it("accepts any of several credentials", async () => {
    const others = [{ accessKeyId: "A", secretAccessKey: "b" }, CREDENTIALS];
    expect(isSigned(await signedBySdk(), others, Date.now())).toBe(true);
  });

  it.each([
    ["body", (r: SignedRequest) => ({ ...r, body: Buffer.from("hullo") })],
    ["method", (r: SignedRequest) => ({ ...r, method: "DELETE" })],
    ["path", (r: SignedRequest) => ({ ...r, url: r.url.replace("dev", "prod") })],
    ["query", (r: SignedRequest) => ({ ...r, url: `${r.url}?x=1` })],
    ["host", (r: SignedRequest) => ({ ...r, headers: { ...r.headers, host: "evil.example" } })],
  ])("refuses a request whose %s was changed after signing", async (_part, change) => {
    expect(isValid(change(await signedBySdk()))).toBe(false);
  });

  it("refuses a signature that is five minutes old or from the future", async () => {
    const request = await signedBySdk();
    expect(isValid(request, Date.now() + 6 * 60_000)).toBe(false);
    expect(isValid(request, Date.now() - 6 * 60_000)).toBe(false);
  });

  it("checks only the form of a signature without credentials", async () => {
    const request = await signedBySdk();
    expect(isSigned({ ...request, body: Buffer.from("changed") }, [], 0)).toBe(true);
    expect(isSigned({ ...request, headers: {} }, [], 0)).toBe(false);
  });

  it("refuses a signature that does not cover the host", () => {
    const signedFor = "host;x-amz-date";
    expect(isValid(signedByHand(signedFor))).toBe(true);
    expect(isValid(signedByHand(signedFor, { host: "evil.example" }))).toBe(false);
    expect(isValid(signedByHand("x-amz-date"))).toBe(false);
    expect(isValid(signedByHand("x-amz-date", { host: "evil.example" }))).toBe(false);
  });

  it("refuses a signature for another service", async () => {
    const request = await signedBySdk();
    const authorization = request.headers.authorization!.replace("execute-api", "s3");
    expect(isSigned({ ...request, headers: { ...request.headers, authorization } }, [], 0)).toBe(false);
  });

  it("refuses any other header, and never throws", () => {
    const date = "20261121T120000Z";
    fc.assert(
      fc.property(anyText, fc.webUrl(), (authorization, url) => {
        const request = {
          method: "POST",
          url,
          headers: { authorization, "x-amz-date": date },
          body: new Uint8Array(),
        };
        expect(isValid(request, Date.UTC(2026, 10, 21, 12))).toBe(false);
      }),
    );
  });

  it("refuses every signature except the correct one", async () => {
    const request = await signedBySdk();
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f]{64}$/), (signature) => {
        const authorization = request.headers.authorization!.replace(/[0-9a-f]{64}$/, signature);
        expect(isValid({ ...request, headers: { ...request.headers, authorization } })).toBe(false);
      }),
    );
  });
});

describe("verifyPresigned", () => {
  // The example of "Authenticating Requests: Using Query Parameters" in S3's API reference.
  const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const url =
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
  const request = { method: "GET", url, headers: { host: "examplebucket.s3.amazonaws.com" } };
  const signedAt = Date.UTC(2013, 4, 24);
  const verify = (changed: Partial<typeof request>, now = signedAt, key = secret) =>
    verifyPresigned({ ...request, ...changed }, readPresigned(url)!, key, now);

  it("accepts the example of Amazon's documentation for its day", () => {
    expect(readPresigned(url)).toMatchObject({
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      scope: { service: "s3" },
    });
    expect(verify({})).toBe("valid");
    expect(verify({}, signedAt + 86_400_000)).toBe("valid");
    expect(verify({}, signedAt + 86_400_001)).toBe("expired");
  });

  it.each([
    ["another method", { method: "PUT" }],
    ["another path", { url: url.replace("test", "other") }],
    ["another query", { url: `${url}&versionId=1` }],
    ["another host", { headers: { host: "other.s3.amazonaws.com" } }],
  ])("refuses %s", (_, changed) => {
    expect(verify(changed)).toBe("invalid");
  });

  it("refuses another secret, and a signature of the future", () => {
    expect(verify({}, signedAt, "other")).toBe("invalid");
    expect(verify({}, signedAt - 3_600_000)).toBe("invalid");
  });

  it.each([
    "/test.txt",
    url.replace("AWS4-HMAC-SHA256", "AWS4"),
    url.replace("aws4_request", "aws4"),
    url.replace(/404$/, "40"),
  ])("reads no signature from %s", (unsigned) => {
    expect(readPresigned(unsigned)).toBeUndefined();
  });

  it("never throws, whatever the URL", () => {
    const part = fc.constantFrom(...url.split(/(?<=[?&=/])/), "", "%", "X-Amz-Date=", "20261301T000000Z");
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const any = parts.join("");
        const presigned = readPresigned(any);
        if (presigned) verifyPresigned({ ...request, url: any }, presigned, secret, signedAt);
      }),
    );
  });
});
