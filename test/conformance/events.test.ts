import { PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { describe, expect, it } from "vitest";
import type { WebSocketEvent } from "../../src/apigw/index.ts";
import { ManualClock } from "../../src/gateway/index.ts";
import { type Api, connect, connectWithId, ok, sdk, startApi, UPGRADE_HEADERS, upgrade } from "./harness.ts";
import { RawClient } from "./raw-client.ts";

const ID = /^[\w-]{15}=$/;
const START = Date.UTC(2022, 7, 31, 13, 34, 52, 72);
const USER_AGENT = "Python/3.8 websockets/10.3";

const AUTHORIZED = {
  authorizer: () => ({
    principalId: "user",
    policyDocument: { Statement: [{ Effect: "Allow", Action: "execute-api:Invoke", Resource: "*" }] },
  }),
} as const;

/** Runs a whole connection: connects, sends "hello" and closes with 4001 "bye". */
async function runConnection(api: Api, headers: Record<string, string> = { "User-Agent": USER_AGENT }) {
  const client = await connect(api.gateway, { headers });
  const connected = await api.connects.next();
  client.send("hello");
  const message = await api.messages.next();
  client.socket.close(4001, "bye");
  return { connected, message, disconnected: await api.disconnects.next() };
}

const fixed = { apiId: "20kmit0mc5", stage: "test", domainName: "dev.ws-api.example.com" };

describe("the CONNECT event", () => {
  it("has exactly the service's fields", async () => {
    const api = await startApi({ ...fixed, clock: new ManualClock(START) });
    const { connected } = await runConnection(api);
    expect(connected).toEqual({
      headers: expect.any(Object),
      multiValueHeaders: expect.any(Object),
      requestContext: {
        routeKey: "$connect",
        eventType: "CONNECT",
        extendedRequestId: expect.stringMatching(ID),
        requestTime: "31/Aug/2022:13:34:52 +0000",
        messageDirection: "IN",
        stage: "test",
        connectedAt: START,
        requestTimeEpoch: START,
        identity: { userAgent: USER_AGENT, sourceIp: "127.0.0.1" },
        requestId: expect.stringMatching(ID),
        domainName: "dev.ws-api.example.com",
        connectionId: expect.stringMatching(ID),
        apiId: "20kmit0mc5",
      },
      isBase64Encoded: false,
    });
  });

  it("has the client's headers in the client's spelling", async () => {
    const api = await startApi();
    const sent = { HeaderAuth1: "a", token: "b", "x-tenant-id": "t1", AUTHORIZATION: "Bearer x" };
    await upgrade(api.gateway, "/dev", sent);
    const { headers } = await api.connects.next();
    expect(headers).toMatchObject({ ...sent, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" });
    expect(Object.keys(headers)).not.toContain("Token");
  });

  it("has every header except Connection and Upgrade", async () => {
    const api = await startApi();
    const client = new RawClient(api.gateway.port);
    const sent = {
      host: "127.0.0.1",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Extensions": "permessage-deflate",
      Origin: "http://localhost:5173",
      Cookie: "session=1",
      "X-Api-Key": "k",
      "x-api-version": "2",
      "Content-Length": "0",
      "Keep-Alive": "timeout=5",
      "Proxy-Connection": "keep-alive",
      "Accept-Language": "en",
      "User-Agent": "u",
    };
    client.request({ ...sent, connection: "Upgrade", UPGRADE: "websocket" });
    const { headers } = await api.connects.next();
    const added = ["X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"];
    expect(headers).toEqual({
      ...sent,
      ...Object.fromEntries(added.map((name) => [name, expect.any(String)])),
    });
  });

  it("has the first spelling of a header that was sent in several", async () => {
    const api = await startApi();
    const client = new RawClient(api.gateway.port);
    client.request({ Host: "127.0.0.1", ...UPGRADE_HEADERS, "x-one": "a", "X-ONE": "b" });
    const { headers, multiValueHeaders } = await api.connects.next();
    expect(multiValueHeaders["x-one"]).toEqual(["a", "b"]);
    expect(headers["x-one"]).toBe("b");
    expect(headers).not.toHaveProperty("X-ONE");
  });

  it("replaces headers that a client forges in another spelling", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev", { "x-forwarded-proto": "https", "x-forwarded-for": "6.6.6.6" });
    const { headers } = await api.connects.next();
    expect(headers).toMatchObject({ "X-Forwarded-Proto": "http", "X-Forwarded-For": "6.6.6.6, 127.0.0.1" });
    expect(Object.keys(headers).filter((name) => name.startsWith("x-forwarded"))).toEqual([]);
  });

  it("has the load balancer's headers: trace id, forwarded address, port and protocol", async () => {
    const api = await startApi();
    await upgrade(api.gateway);
    expect((await api.connects.next()).headers).toMatchObject({
      "X-Amzn-Trace-Id": expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
      "X-Forwarded-For": "127.0.0.1",
      "X-Forwarded-Port": String(api.gateway.port),
      "X-Forwarded-Proto": "http",
    });
  });

  it("does not have hop-by-hop headers", async () => {
    const api = await startApi();
    await upgrade(api.gateway);
    const { headers, multiValueHeaders } = await api.connects.next();
    for (const name of ["Connection", "Upgrade"]) {
      expect(headers).not.toHaveProperty(name);
      expect(multiValueHeaders).not.toHaveProperty(name);
    }
  });

  it("has every value of a repeated header in multiValueHeaders, and the last one in headers", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev", { "X-One": ["a", "b"] });
    const { headers, multiValueHeaders } = await api.connects.next();
    expect([headers["X-One"], multiValueHeaders["X-One"]]).toEqual(["b", ["a", "b"]]);
  });

  it("has the same names in headers and multiValueHeaders", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev", { "X-One": "a" });
    const { headers, multiValueHeaders } = await api.connects.next();
    expect(multiValueHeaders).toEqual(
      Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    );
  });

  it("has the decoded query, with every value of a repeated parameter", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev?room=a%20b&tag=1&tag=2&empty=");
    const event = await api.connects.next();
    expect(event.queryStringParameters).toEqual({ room: "a b", tag: "2", empty: "" });
    expect(event.multiValueQueryStringParameters).toEqual({ room: ["a b"], tag: ["1", "2"], empty: [""] });
  });

  it.each(["/dev", "/dev?"])("has no query fields for %s", async (path) => {
    const api = await startApi();
    await upgrade(api.gateway, path);
    const event = await api.connects.next();
    expect(event).not.toHaveProperty("queryStringParameters");
    expect(event).not.toHaveProperty("multiValueQueryStringParameters");
  });
});

describe("the MESSAGE event", () => {
  it("has exactly the service's fields: no headers, no query, a messageId and the raw body", async () => {
    const api = await startApi({ ...fixed, clock: new ManualClock(START) });
    const { message } = await runConnection(api);
    expect(message).toEqual({
      requestContext: {
        routeKey: "$default",
        messageId: expect.stringMatching(ID),
        eventType: "MESSAGE",
        extendedRequestId: expect.stringMatching(ID),
        requestTime: "31/Aug/2022:13:34:52 +0000",
        messageDirection: "IN",
        stage: "test",
        connectedAt: START,
        requestTimeEpoch: START,
        identity: { userAgent: USER_AGENT, sourceIp: "127.0.0.1" },
        requestId: expect.stringMatching(ID),
        domainName: "dev.ws-api.example.com",
        connectionId: expect.stringMatching(ID),
        apiId: "20kmit0mc5",
      },
      body: "hello",
      isBase64Encoded: false,
    });
  });

  it("has the message's text unchanged, JSON or not", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    const text = ' {"action" : "x",\n"n":1.0, "emoji":"👋🏽"} ';
    client.send(text);
    expect((await api.messages.next()).body).toBe(text);
  });

  it("has the time of the message and of the connection", async () => {
    const clock = new ManualClock(START);
    const api = await startApi({ clock });
    const client = await connect(api.gateway);
    clock.advance(34_138);
    client.send("hello");
    expect((await api.messages.next()).requestContext).toMatchObject({
      connectedAt: START,
      requestTimeEpoch: START + 34_138,
      requestTime: "31/Aug/2022:13:35:26 +0000",
    });
  });
});

describe("the DISCONNECT event", () => {
  it("has exactly the service's fields: stub headers, the close code and reason", async () => {
    const api = await startApi({ ...fixed, clock: new ManualClock(START) });
    const { disconnected } = await runConnection(api);
    expect(disconnected).toEqual({
      headers: { Host: "dev.ws-api.example.com", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" },
      multiValueHeaders: {
        Host: ["dev.ws-api.example.com"],
        "x-api-key": [""],
        "X-Forwarded-For": [""],
        "x-restapi": [""],
      },
      requestContext: {
        routeKey: "$disconnect",
        disconnectStatusCode: 4001,
        eventType: "DISCONNECT",
        extendedRequestId: expect.stringMatching(ID),
        requestTime: "31/Aug/2022:13:34:52 +0000",
        messageDirection: "IN",
        disconnectReason: "bye",
        stage: "test",
        connectedAt: START,
        requestTimeEpoch: START,
        identity: { userAgent: USER_AGENT, sourceIp: "127.0.0.1" },
        requestId: expect.stringMatching(ID),
        domainName: "dev.ws-api.example.com",
        connectionId: expect.stringMatching(ID),
        apiId: "20kmit0mc5",
      },
      isBase64Encoded: false,
    });
  });
});

describe("all three events", () => {
  it("have the same connectionId", async () => {
    const { connected, message, disconnected } = await runConnection(await startApi());
    const ids = new Set([connected, message, disconnected].map((event) => event.requestContext.connectionId));
    expect(ids.size).toBe(1);
  });

  it("have different requestIds, each equal to extendedRequestId", async () => {
    const { connected, message, disconnected } = await runConnection(await startApi());
    const contexts = [connected, message, disconnected].map((event) => event.requestContext);
    expect(contexts.map(({ extendedRequestId }) => extendedRequestId)).toEqual(
      contexts.map(({ requestId }) => requestId),
    );
    expect(new Set(contexts.map(({ requestId }) => requestId)).size).toBe(3);
  });

  it("have no userAgent when the client sent none", async () => {
    const api = await startApi();
    for (const event of Object.values(await runConnection(api, {}))) {
      expect(event.requestContext.identity).toEqual({ sourceIp: "127.0.0.1" });
    }
  });

  it("have the authorizer's context when one is configured", async () => {
    const { connected, message, disconnected } = await runConnection(await startApi(AUTHORIZED));
    for (const event of [connected, message, disconnected]) {
      expect(event.requestContext.authorizer).toEqual({
        principalId: "user",
        integrationLatency: expect.any(Number),
      });
    }
  });

  it("have the stage variables when the stage has any", async () => {
    const stageVariables = { table: "connections" };
    for (const event of Object.values(await runConnection(await startApi({ stageVariables })))) {
      expect(event.stageVariables).toEqual(stageVariables);
    }
  });

  it.each([{}, { stageVariables: { table: "connections" } }])(
    "are not encoded as Base64 with the options %j",
    async (options) => {
      for (const event of Object.values(await runConnection(await startApi(options)))) {
        expect(event.isBase64Encoded).toBe(false);
      }
    },
  );

  it("are copies, so a handler's changes are not in later events", async () => {
    const seen: WebSocketEvent[] = [];
    const scribble = (event: WebSocketEvent) => {
      seen.push(structuredClone(event));
      Object.assign(event.requestContext.identity, { sourceIp: "scribbled" });
      Object.assign(event.requestContext.authorizer ?? {}, { principalId: "scribbled" });
      return ok;
    };
    await runConnection(await startApi(AUTHORIZED, scribble));
    expect(
      seen.map(({ requestContext }) => [
        requestContext.identity.sourceIp,
        requestContext.authorizer?.principalId,
      ]),
    ).toEqual(Array(3).fill(["127.0.0.1", "user"]));
  });
});

describe("connection ids", () => {
  it("are 16 characters: 11 bytes in base64url and one =", async () => {
    const { id } = await connectWithId(await startApi());
    expect(id).toMatch(ID);
    expect(Buffer.from(id, "base64url")).toHaveLength(11);
  });

  it("are unique", async () => {
    const api = await startApi();
    await Promise.all([connect(api.gateway), connect(api.gateway)]);
    const [a, b] = await api.connects.take(2);
    expect(a!.requestContext.connectionId).not.toBe(b!.requestContext.connectionId);
  });
});

describe("domainName and stage", () => {
  it("form an endpoint that the SDK reaches, because the domain includes the port", async () => {
    const api = await startApi({ stage: "prod" });
    const client = await connect(api.gateway);
    const { domainName, stage, connectionId } = (await api.connects.next()).requestContext;
    const management = sdk(api.gateway, { endpoint: `http://${domainName}/${stage}` });
    await management.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: "hi" }));
    expect(await client.messages.next()).toBe("hi");
  });
});

describe("sourceIp", () => {
  it("is the socket's address, and client headers are ignored", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev", { "X-Forwarded-For": "93.193.144.114" });
    expect((await api.connects.next()).requestContext.identity.sourceIp).toBe("127.0.0.1");
  });

  it("is the address that the nearest proxy reports when proxies are trusted", async () => {
    const api = await startApi({ trustProxy: true });
    for (const entry of ["93.193.144.114", "93.193.144.114:4711", '"[::ffff:5dc1:9072]:4711"']) {
      await upgrade(api.gateway, "/dev", { "X-Forwarded-For": `6.6.6.6, ${entry}` });
      expect((await api.connects.next()).requestContext.identity.sourceIp).toBe("93.193.144.114");
    }
  });

  it("is the proxy's own address when the trusted proxy reports none", async () => {
    const api = await startApi({ trustProxy: true });
    await upgrade(api.gateway, "/dev", { "X-Forwarded-For": "6.6.6.6, unknown" });
    expect((await api.connects.next()).requestContext.identity.sourceIp).toBe("127.0.0.1");
  });
});
