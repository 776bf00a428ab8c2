import {
  ApiGatewayManagementApiClient,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSigned, type SignedRequest } from "./sigv4.ts";

const CREDENTIALS = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const ID = "L0SM9cOFvHcCIhw=";

/** What the AWS SDK would have sent. */
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

const isValid = (request: SignedRequest, now = Date.now()) => isSigned(request, [CREDENTIALS], now);

describe("isSigned", () => {
  it("accepts what the AWS SDK signs", async () => {
    expect(isValid(await signedBySdk())).toBe(true);
    expect(isValid(await signedBySdk(new GetConnectionCommand({ ConnectionId: ID })))).toBe(true);
  });

  it("refuses a signature by another secret", async () => {
    const request = await signedBySdk();
    expect(isSigned(request, [{ ...CREDENTIALS, secretAccessKey: "other" }], Date.now())).toBe(false);
  });

  it("refuses an access key that it does not know", async () => {
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

  it("asks for the form of a signature only when it has no credentials", async () => {
    const request = await signedBySdk();
    expect(isSigned({ ...request, body: Buffer.from("changed") }, [], 0)).toBe(true);
    expect(isSigned({ ...request, headers: {} }, [], 0)).toBe(false);
  });

  it("refuses a signature for another service", async () => {
    const request = await signedBySdk();
    const authorization = request.headers.authorization!.replace("execute-api", "s3");
    expect(isSigned({ ...request, headers: { ...request.headers, authorization } }, [], 0)).toBe(false);
  });

  it("refuses any other header, and never throws", () => {
    const date = "20261121T120000Z";
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.webUrl(), (authorization, url) => {
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

  it("refuses every signature but the right one", async () => {
    const request = await signedBySdk();
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f]{64}$/), (signature) => {
        const authorization = request.headers.authorization!.replace(/[0-9a-f]{64}$/, signature);
        expect(isValid({ ...request, headers: { ...request.headers, authorization } })).toBe(false);
      }),
    );
  });
});
