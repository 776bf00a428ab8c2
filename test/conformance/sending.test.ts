// Tests Lift's @connections against the gateway: over HTTP by both transports with verified signatures, and in process.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Connections } from "../../src/apigw/index.ts";
import { sdkTransport } from "../../src/lift/connections/aws-sdk.ts";
import { awsConnections } from "../../src/lift/index.ts";
import { type Api, connectWithId, KEYS, startApi } from "./harness.ts";

/** A well-formed id without a connection. */
const NOBODY = "Xux7aeaAFiACHZQ=";

beforeEach(() => {
  vi.stubEnv("AWS_REGION", "us-east-1");
});

afterEach(() => {
  vi.unstubAllEnvs();
});

const byHttp = (api: Api, more: object = {}) =>
  awsConnections({ endpoint: api.gateway.endpoint, credentials: KEYS, ...more });

const PORTS: [name: string, port: (api: Api) => Connections][] = [
  ["HTTP without the SDK", (api) => byHttp(api)],
  ["the AWS SDK", (api) => byHttp(api, { transport: sdkTransport() })],
  ["the gateway object", (api) => api.gateway],
];

describe.each(PORTS)("@connections by %s", (_name, port) => {
  const start = async () => {
    const api = await startApi({ credentials: KEYS, stage: "$default" });
    return { api, connections: port(api), ...(await connectWithId(api)) };
  };

  it("sends text and bytes", async () => {
    const { connections, client, id } = await start();
    expect(await connections.post(id, "grüße")).toBe("sent");
    expect(await connections.post(id, new TextEncoder().encode("bytes"))).toBe("sent");
    expect(await client.messages.take(2)).toEqual(["grüße", "bytes"]);
  });

  it("sends 128 KB, and refuses one byte more", async () => {
    const { connections, client, id } = await start();
    expect(await connections.post(id, "x".repeat(131_072))).toBe("sent");
    expect((await client.messages.next()).length).toBe(131_072);
    await expect(connections.post(id, "x".repeat(131_073))).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
  });

  it("describes a connection, closes it, and then returns 410", async () => {
    const { connections, client, id } = await start();
    const info = await connections.get(id);
    expect(info?.identity).toStrictEqual({ sourceIp: "127.0.0.1" });
    expect(Math.abs(Date.now() - (info?.connectedAt ?? 0))).toBeLessThan(60_000);
    expect(await connections.disconnect(id)).toBe(true);
    expect((await client.closed).code).toBe(1000);
    expect([
      await connections.post(id, "x"),
      await connections.get(id),
      await connections.disconnect(id),
    ]).toEqual(["gone", undefined, false]);
  });

  it("refuses a malformed id", async () => {
    const { connections } = await start();
    await expect(connections.post("nope", "x")).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  it("broadcasts, with a result for each", async () => {
    const { api, connections, client, id } = await start();
    const other = await connectWithId(api);
    const ids = [id, NOBODY, "nope", other.id];
    const { results, ...counts } = await connections.broadcast(ids, "to all", { results: true });
    expect(counts).toEqual({ sent: 2, gone: 1, connecting: 0, failed: 1 });
    expect(results).toMatchObject([
      { connectionId: id, outcome: "sent" },
      { connectionId: NOBODY, outcome: "gone" },
      { connectionId: "nope", outcome: "failed", error: { code: "BAD_REQUEST" } },
      { connectionId: other.id, outcome: "sent" },
    ]);
    expect([await client.messages.next(), await other.client.messages.next()]).toEqual(["to all", "to all"]);
  });
});

describe.each(PORTS.slice(0, 2))("the signature by %s", (_name, port) => {
  it("is refused with another secret", async () => {
    const api = await startApi({ credentials: { ...KEYS, secretAccessKey: "another" } });
    await expect(port(api).post(NOBODY, "x")).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

it.each([
  ["HTTP without the SDK", {}],
  ["the AWS SDK", { transport: sdkTransport() }],
])("a session's token is signed by %s", async (_name, transport) => {
  const credentials = { ...KEYS, sessionToken: "IQoJb3JpZ2luX2VjEXAMPLE==" };
  const connections = byHttp(await startApi({ credentials: KEYS }), { credentials, ...transport });
  expect(await connections.post(NOBODY, "x")).toBe("gone");
});
