import { describe, expect, it } from "vitest";
import { type AccessRefusal, createRefusalLogger, type GatewayOptions } from "../../src/gateway/index.ts";
import { type Api, http, KEYS, startApi, UPGRADE_HEADERS } from "./harness.ts";
import { Queue } from "./queue.ts";
import { RawClient } from "./raw-client.ts";

async function start(options: GatewayOptions = {}) {
  const refusals = new Queue<AccessRefusal>();
  const api = await startApi({
    ownOrigins: true,
    allowedHosts: [],
    onRefused: (refusal) => refusals.push(refusal),
    ...options,
  });
  return { ...api, refusals };
}

async function upgradeStatus({ gateway }: Api, headers: Record<string, string>): Promise<number> {
  const client = new RawClient(gateway.port);
  client.request({ Host: `127.0.0.1:${gateway.port}`, ...UPGRADE_HEADERS, ...headers });
  return Number((await client.head).split(" ")[1]);
}

describe("with ownOrigins", () => {
  it.each([
    {},
    { Origin: "http://localhost:5173" },
    { Origin: "https://localhost" },
    { Origin: "http://127.0.0.1:8080" },
    { Origin: "http://[::1]:3000" },
  ])("allows %j", async (headers) => {
    expect(await upgradeStatus(await start(), headers)).toBe(101);
  });

  it.each([
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.evil.example",
    "http://127.0.0.1.evil.example:3001",
    "null",
    "file://",
    "capacitor://localhost",
    "xhttp://localhost",
    "",
    "not an origin",
  ])("refuses the origin %j with 403, and reports it", async (origin) => {
    const api = await start();
    expect(await upgradeStatus(api, { Origin: origin })).toBe(403);
    expect(await api.refusals.next()).toEqual({ header: "Origin", value: origin });
    expect(api.connects.size).toBe(0);
  });

  it("allows the origin of the request's own host, with any scheme and case", async () => {
    const api = await start({ allowedHosts: ["app.example"] });
    const own = [
      ["app.example", "https://app.example"],
      ["App.Example", "https://app.example"],
      ["app.example:443", "https://app.example"],
      ["app.example:3001", "http://app.example:3001"],
    ];
    for (const [Host, Origin] of own)
      expect(await upgradeStatus(api, { Host: Host!, Origin: Origin! })).toBe(101);
    const other = { Host: "app.example:3001", Origin: "http://app.example:3002" };
    expect(await upgradeStatus(api, other)).toBe(403);
  });

  it("refuses an origin with 403 when the Host is malformed", async () => {
    const api = await startApi({ ownOrigins: true });
    expect(await upgradeStatus(api, { Host: "a b", Origin: "https://app.example" })).toBe(403);
  });

  it.each(["https://app.example", "capacitor://localhost", "null"])(
    "allows %s when `allowedOrigins` has it",
    async (origin) => {
      const api = await start({ allowedOrigins: [origin] });
      expect(await upgradeStatus(api, { Origin: origin })).toBe(101);
      expect(await upgradeStatus(api, { Origin: "https://evil.example" })).toBe(403);
      expect(await upgradeStatus(api, { Origin: "http://localhost:1" })).toBe(101);
    },
  );

  it("allows any origin except null by *", async () => {
    const api = await start({ allowedOrigins: ["*"] });
    expect(await upgradeStatus(api, { Origin: "https://any.example" })).toBe(101);
    expect(await upgradeStatus(api, { Origin: "null" })).toBe(403);
  });
});

it("refuses pages of this machine with 403 when only `allowedOrigins` is set", async () => {
  const api = await startApi({ allowedOrigins: ["https://app.example"] });
  expect(await upgradeStatus(api, { Origin: "http://localhost:5173" })).toBe(403);
});

describe("the Host of a request to a gateway on loopback", () => {
  const paths = ["/", "/healthz", "/tickets", "/dev/@connections/L0SM9cOFvHcCIhw=", "/dev"];

  it.each(paths)("is refused with 403 on %s when it is another name", async (path) => {
    const api = await start({ http: (_request, response) => response.end("page") });
    const { status, body } = await http(api.gateway, path, { headers: { Host: "rebound.example:3001" } });
    expect([status, body]).toEqual([403, '{"message":"Forbidden"}']);
    expect(await api.refusals.next()).toEqual({ header: "Host", value: "rebound.example:3001" });
  });

  it.each([
    "rebound.example",
    "127.0.0.1.evil.example",
    "127.evil.example",
    "evil.example#localhost",
    "localhost/evil.example",
    "0.0.0.0",
  ])("causes a refusal as %s, even with the same origin", async (host) => {
    const api = await start();
    expect(await upgradeStatus(api, { Host: host, Origin: `http://${host}` })).toBe(403);
  });

  it("causes a refusal without a listener for refusals too", async () => {
    const api = await startApi({ allowedHosts: [] });
    expect(await upgradeStatus(api, { Host: "rebound.example" })).toBe(403);
  });

  it.each(["localhost", "LocalHost:3001", "127.0.0.1", "127.8.8.8:1", "[::1]:3001", "localhost."])(
    "may be %s",
    async (host) => expect(await upgradeStatus(await start(), { Host: host })).toBe(101),
  );

  it("may be listed in allowedHosts, with any port and in any case", async () => {
    const api = await start({ allowedHosts: ["App.example"] });
    expect(await upgradeStatus(api, { Host: "app.Example:8443" })).toBe(101);
    expect(await upgradeStatus(api, { Host: "b.app.example" })).toBe(403);
  });

  it("may be the API's name on AWS, or its domainName", async () => {
    const api = await start({ apiId: "abc123", region: "eu-west-1", domainName: "ws.example.com:8443" });
    const aws = "abc123.execute-api.eu-west-1.amazonaws.com";
    for (const Host of [aws, `${aws.toUpperCase()}:443`, `${aws}.`, "ws.example.com"]) {
      expect(await upgradeStatus(api, { Host })).toBe(101);
    }
    expect(await upgradeStatus(api, { Host: "other.execute-api.eu-west-1.amazonaws.com" })).toBe(403);
  });

  it("may be any name without allowedHosts", async () => {
    const { gateway } = await startApi();
    expect((await http(gateway, "/healthz", { headers: { Host: "any.example" } })).status).toBe(200);
  });

  it("may be any name when the gateway does not listen on loopback", async () => {
    const api = await startApi({ allowedHosts: [], credentials: KEYS }, undefined, "0.0.0.0");
    expect((await http(api.gateway, "/healthz", { headers: { Host: "any.example" } })).status).toBe(200);
  });
});

describe("createRefusalLogger", () => {
  const how = { Origin: "--origin …", Host: "--allowed-host …" };

  it("logs how to allow an origin or a host", () => {
    const lines: string[] = [];
    const log = createRefusalLogger((line) => lines.push(line), how);
    log({ header: "Origin", value: "https://$&.example" });
    log({ header: "Host", value: "App.example:3001" });
    expect(lines).toEqual([
      'Refused a request with Origin "https://$&.example". To allow it: --origin https://$&.example',
      'Refused a request with Host "App.example:3001". To allow it: --allowed-host app.example',
    ]);
  });

  it("samples many refusals, and limits the length of a line", () => {
    const lines: string[] = [];
    const log = createRefusalLogger((line) => lines.push(line), how);
    for (let n = 0; n < 1_000; n++) log({ header: "Origin", value: "x".repeat(10_000) });
    expect(lines).toHaveLength(12);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(500);
  });
});
