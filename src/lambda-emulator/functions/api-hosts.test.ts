import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type ApiHosts, redirectApiHosts } from "./api-hosts.ts";

const NAME = "abc123.execute-api.eu-west-1.amazonaws.com";

let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer((socket) => socket.end("gateway")).listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

afterEach(() => void server.close());

function redirect(): void {
  const gateway = { host: "127.0.0.1", port };
  const hosts: ApiHosts = { names: [NAME, `127.0.0.1:${port}`], httpsNames: ["127.0.0.1"], gateway };
  onTestFinished(redirectApiHosts(hosts));
}

async function read(socket: Socket): Promise<string> {
  const [data] = await once(socket, "data");
  return String(data);
}

describe("redirectApiHosts", () => {
  it.each([
    ["the name on 443", NAME, 443],
    ["the name on 80", NAME, 80],
    ["the name on any port", NAME, 8443],
    ["the name in capitals", NAME.toUpperCase(), 443],
    ["the name with a trailing dot", `${NAME}.`, 443],
    ["the domainName on 443", "127.0.0.1", 443],
  ])("redirects %s to the gateway, in every form of connect", async (_what, host, toPort) => {
    redirect();
    expect(await read(connect({ host, port: toPort }))).toBe("gateway");
    expect(await read(connect(toPort, host))).toBe("gateway");
    expect(await read(new Socket().connect({ host, port: toPort }))).toBe("gateway");
    expect(await read(new Socket().connect(toPort, host))).toBe("gateway");
  });

  it("does no DNS lookup", async () => {
    redirect();
    const lookup = vi.fn();
    expect(await read(connect({ host: NAME, port: 443, lookup }))).toBe("gateway");
    expect(lookup).not.toHaveBeenCalled();
  });

  it.each([
    ["another API's name", "other.execute-api.eu-west-1.amazonaws.com"],
    ["a name with the same beginning", `${NAME}.evil.example`],
    ["another service's name", "dynamodb.eu-west-1.amazonaws.com"],
  ])("does not redirect %s", async (_what, host) => {
    redirect();
    const lookup = vi.fn((_host, _options, callback) => callback(new Error("looked up")));
    const socket = connect({ host, port: 443, lookup });
    const [error] = await once(socket, "error");
    expect([error.message, lookup.mock.calls[0]?.[0]]).toEqual(["looked up", host]);
  });

  it("does not redirect the domainName's host on other ports", async () => {
    redirect();
    const other = createServer((socket) => socket.end("other")).listen(0, "127.0.0.1");
    await once(other, "listening");
    onTestFinished(() => void other.close());
    expect(await read(connect((other.address() as AddressInfo).port, "127.0.0.1"))).toBe("other");
  });

  it("ends with the function that it returns", () => {
    const { connect: before } = Socket.prototype;
    redirectApiHosts({ names: [], httpsNames: [], gateway: { host: "127.0.0.1", port } })();
    expect(Socket.prototype.connect).toBe(before);
  });
});
