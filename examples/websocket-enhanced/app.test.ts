import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";
import { awsConnections } from "lift-ws";
import type { LambdaHandler } from "lift-ws/apigw";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { connectEvent, disconnectEvent, lambdaContext, messageEvent } from "lift-ws/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Connection } from "../migration/by-hand/connections.ts";
import { createEnhanced } from "./app.ts";
import { createBefore } from "./before/app.ts";

const auth = { secret: Buffer.alloc(32, 7), issuer: "https://issuer.example", audience: "enhanced" };
const LOCAL = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };
const frames: unknown[] = [];
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  frames.push(JSON.parse(Buffer.concat(chunks).toString()));
  response.end();
});
let endpoint = "";

beforeAll(async () => {
  vi.stubEnv("AWS_REGION", LOCAL.region);
  vi.stubEnv("AWS_ACCESS_KEY_ID", LOCAL.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", LOCAL.credentials.secretAccessKey);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dev`;
});

afterAll(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function startBefore() {
  const rows = new Map<string, Connection>();
  const connections = {
    save: async (row: Connection) => void rows.set(row.id, row),
    get: async (id: string) => rows.get(id),
    delete: async (id: string) => void rows.delete(id),
  };
  const handler = createBefore({ auth, connections, endpoint }).start();
  return { handler: handler as unknown as LambdaHandler, count: async () => rows.size };
}

function startAfter() {
  const connectionStore = memoryConnectionStore();
  const jwt = { algorithms: ["HS256"], ...auth };
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const handler = createEnhanced({ auth: { jwt }, connectionStore }).webSocketHandler({
    connections: awsConnections({ endpoint, ...LOCAL }),
  });
  return { handler, count: () => connectionStore.count() };
}

describe.each([
  // Without a route response, the result of a message reaches nobody.
  ["before", startBefore, []],
  ["after", startAfter, [{ type: "error", error: { code: "VALIDATION_ERROR" } }]],
])("%s", (_name, start, refusal) => {
  it("stores a connection with a token, answers its message, and removes it", async () => {
    const { handler, count } = start();
    const call = async (event: Parameters<LambdaHandler>[0]) =>
      ((await handler(event, lambdaContext(), () => {})) as { statusCode: number }).statusCode;
    const token = await new SignJWT({ tenant_id: "acme" })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("ada")
      .setIssuer(auth.issuer)
      .setAudience(auth.audience)
      .setExpirationTime("1h")
      .sign(auth.secret);
    expect(await call(connectEvent({ query: { token: "forged" } }))).toBe(401);
    expect(await count()).toBe(0);
    const requestContext = { connectedAt: Date.now() };
    expect(await call(connectEvent({ query: { token }, requestContext }))).toBe(200);
    expect(await count()).toBe(1);
    frames.length = 0;
    expect(await call(messageEvent("message", { action: "message", data: "hello" }))).toBe(200);
    expect(frames).toEqual([{ from: "ada", received: "hello" }]);
    frames.length = 0;
    await call(messageEvent("message", { action: "message", data: 7 }));
    expect(frames).toMatchObject(refusal);
    await call(disconnectEvent());
    expect(await count()).toBe(0);
  });
});
