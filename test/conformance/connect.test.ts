import { describe, expect, it, vi } from "vitest";
import type { LambdaContext, WebSocketEvent } from "../../src/apigw/index.ts";
import { ManualClock } from "../../src/gateway/index.ts";
import {
  connect,
  connectWithId,
  dial,
  errorFrame,
  gate,
  http,
  ok,
  startApi,
  turn,
  UPGRADE_HEADERS,
  upgrade,
} from "./harness.ts";
import { frame, OPCODE, RawClient } from "./raw-client.ts";

const only$connect = (answer: unknown) => ({ routes: { $connect: () => answer } });

describe("the upgrade", () => {
  it("stays pending until $connect has finished", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi({}, () => opened);
    const client = new RawClient(api.gateway.port);
    let answered = false;
    void client.head.then(() => {
      answered = true;
    });
    client.upgrade();
    await api.connects.next();
    // A response written before now has a whole round trip to arrive.
    await http(api.gateway, "/healthz");
    expect(answered).toBe(false);
    open(ok);
    expect(await client.head).toMatch(/^HTTP\/1\.1 101 /);
  });

  it("routes no message before $connect has finished", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi({}, (event) => (event.requestContext.eventType === "CONNECT" ? opened : ok));
    const client = new RawClient(api.gateway.port);
    client.upgrade("/dev", frame(OPCODE.text, "too early"));
    await api.connects.next();
    await http(api.gateway, "/healthz");
    expect(api.messages.size).toBe(0);
    open(ok);
    expect((await api.messages.next()).body).toBe("too early");
  });

  it("opens without a $connect route", async () => {
    const api = await startApi({ routes: { $default: () => ok } });
    const client = await connect(api.gateway);
    client.send("hello");
    expect((await api.messages.next()).body).toBe("hello");
  });

  it.each([200, 201, 204, 299])("opens when $connect returns %i", async (statusCode) => {
    const api = await startApi(only$connect({ statusCode }));
    expect((await upgrade(api.gateway)).status).toBe(101);
  });

  it.each([
    ["200", 101],
    ["403", 403],
  ])("accepts the status %j of $connect as text", async (statusCode, status) => {
    const api = await startApi(only$connect({ statusCode }));
    expect((await upgrade(api.gateway)).status).toBe(status);
  });

  it.each([302, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599])(
    "is refused with %i when $connect returns it",
    async (statusCode) => {
      const api = await startApi(only$connect({ statusCode }));
      expect((await upgrade(api.gateway)).status).toBe(statusCode);
    },
  );

  it("is refused with 502 when $connect throws", async () => {
    const api = await startApi({}, () => Promise.reject(new Error("secret")));
    expect((await upgrade(api.gateway)).status).toBe(502);
  });

  it.each([
    ["nothing", undefined],
    ["no statusCode", { body: "hi" }],
    ["a statusCode that is not a number", { statusCode: "ok" }],
    ["an informational status", { statusCode: 101 }],
    ["a string", "200"],
    ["an unknown field", { statusCode: 200, Data: "x" }],
  ])("is refused with 502 when $connect returns %s", async (_what, answer) => {
    const api = await startApi(only$connect(answer));
    expect((await upgrade(api.gateway)).status).toBe(502);
  });

  it("is refused with 504 when $connect takes 29 seconds", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock }, () => new Promise(() => {}));
    const answer = upgrade(api.gateway);
    await api.connects.next();
    clock.advance(29_000);
    expect((await answer).status).toBe(504);
  });

  it("waits for a $connect of 28.999 seconds", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<object>();
    const api = await startApi({ clock }, () => opened);
    const answer = upgrade(api.gateway);
    await api.connects.next();
    clock.advance(28_999);
    open(ok);
    expect((await answer).status).toBe(101);
  });

  it("is refused with an HTTP status, and the client never sees an open socket", async () => {
    const api = await startApi(only$connect({ statusCode: 401 }));
    const { socket } = dial(api.gateway);
    const opened = gate<string>();
    socket.on("open", () => opened.open("open"));
    socket.on("unexpected-response", (_request, response) => opened.open(String(response.statusCode)));
    expect(await opened.opened).toBe("401");
  });

  it("creates no connection and no $disconnect when it is refused", async () => {
    const api = await startApi({}, () => ({ statusCode: 403 }));
    await upgrade(api.gateway);
    await api.reports.next();
    await turn();
    expect([api.gateway.size, api.disconnects.size]).toEqual([0, 0]);
  });

  it("causes a $disconnect with 1006 when $connect accepts a client that has left meanwhile", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi({}, (event) => (event.requestContext.eventType === "CONNECT" ? opened : ok));
    const client = new RawClient(api.gateway.port);
    client.upgrade();
    const { connectionId } = (await api.connects.next()).requestContext;
    client.socket.destroy();
    await client.ended;
    await http(api.gateway, "/healthz");
    open(ok);
    expect((await api.disconnects.next()).requestContext).toMatchObject({
      connectionId,
      disconnectStatusCode: 1006,
    });
  });
});

describe("a $connect that accepts a client whose connection does not open", () => {
  const connectWith = (answer: unknown) => (event: WebSocketEvent) =>
    event.requestContext.eventType === "CONNECT" ? answer : ok;

  it("causes a $disconnect with 1006 when it returns after 29 seconds", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<object>();
    const api = await startApi({ clock }, connectWith(opened));
    const answer = upgrade(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    clock.advance(29_000);
    expect((await answer).status).toBe(504);
    expect(api.disconnects.size).toBe(0);
    open(ok);
    const { requestContext } = await api.disconnects.next();
    expect(requestContext).toMatchObject({ connectionId, disconnectStatusCode: 1006 });
  });

  it.each([
    ["refuses", async () => ({ statusCode: 403 })],
    ["throws", () => Promise.reject(new Error("late"))],
  ])("causes no $disconnect when it %s after 29 seconds", async (_how, end) => {
    const clock = new ManualClock();
    const { opened, open } = gate();
    const api = await startApi({ clock }, connectWith(opened.then(end)));
    const answer = upgrade(api.gateway);
    await api.connects.next();
    clock.advance(29_000);
    await answer;
    open();
    await turn();
    expect(api.disconnects.size).toBe(0);
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;

  it.each([
    ["a subprotocol that is not a token", { headers: { "Sec-WebSocket-Protocol": "a b" } }],
    ["a subprotocol that is not a string", { headers: { "Sec-WebSocket-Protocol": { toString: 1 } } }],
    ["multiValueHeaders that are not lists", { multiValueHeaders: { "Sec-WebSocket-Protocol": {} } }],
    ["headers that JSON cannot represent", { headers: circular }],
    ["a field that JSON cannot represent", { x: 1n }],
  ])("causes a refusal with 502 and a $disconnect with 1006 for %s", async (_what, answer) => {
    const api = await startApi({}, connectWith({ statusCode: 200, ...answer }));
    expect((await upgrade(api.gateway)).status).toBe(502);
    const { connectionId } = (await api.connects.next()).requestContext;
    expect((await api.disconnects.next()).requestContext).toMatchObject({
      connectionId,
      disconnectStatusCode: 1006,
    });
  });
});

describe("the response to an upgrade request", () => {
  it("has neither the handler's body nor its headers when refused", async () => {
    const api = await startApi(
      only$connect({
        statusCode: 401,
        body: "secret",
        headers: { "X-Secret": "s", "WWW-Authenticate": "Basic" },
      }),
    );
    const { headers, body } = await upgrade(api.gateway);
    expect(headers).not.toHaveProperty("x-secret");
    expect(headers).not.toHaveProperty("www-authenticate");
    expect(body).not.toContain("secret");
  });

  it("has only the subprotocol of the handler's headers when accepted", async () => {
    const api = await startApi(
      only$connect({
        statusCode: 200,
        body: "x",
        headers: { "X-A": "a", "Set-Cookie": "b", "sec-websocket-protocol": "p" },
      }),
    );
    const { headers } = await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Protocol": "p" });
    expect(Object.keys(headers).toSorted()).toEqual([
      "connection",
      "sec-websocket-accept",
      "sec-websocket-protocol",
      "upgrade",
    ]);
  });

  it("has the service's request ids when refused", async () => {
    const api = await startApi(only$connect({ statusCode: 401 }));
    expect((await upgrade(api.gateway)).headers).toMatchObject({
      "x-amzn-requestid": expect.stringMatching(/^[0-9a-f-]{36}$/),
      "x-amz-apigw-id": expect.stringMatching(/^[\w-]{15}=$/),
    });
  });

  it.each([
    [401, "Unauthorized"],
    [403, "Forbidden"],
    [500, "Internal server error"],
    [502, "Internal server error"],
    [504, "Endpoint request timed out"],
    [599, "Refused"],
  ])("has the message of its status when refused with %i: %s", async (statusCode, message) => {
    const api = await startApi(only$connect({ statusCode }));
    const { body } = await upgrade(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    expect(body).toBe(errorFrame(message, connectionId, JSON.parse(body).requestId));
  });

  it("has no stack when $connect throws", async () => {
    const api = await startApi({}, () => Promise.reject(new Error("secret")));
    const { body } = await upgrade(api.gateway);
    expect(body).not.toMatch(/secret|at .*\.ts/);
  });
});

describe("a subprotocol", () => {
  it("is not returned unless $connect returns it", async () => {
    const api = await startApi();
    const { headers } = await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Protocol": "a, b" });
    expect(headers).not.toHaveProperty("sec-websocket-protocol");
  });

  it("is in the CONNECT event's headers when the client offers it", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Protocol": "a, b" });
    expect((await api.connects.next()).headers["Sec-WebSocket-Protocol"]).toBe("a, b");
  });

  it.each([
    ["headers", { headers: { "Sec-WebSocket-Protocol": "b" } }],
    ["headers in any case", { headers: { "sec-websocket-protocol": "b" } }],
    ["multiValueHeaders", { multiValueHeaders: { "Sec-WebSocket-Protocol": ["b"] } }],
  ])("is the one that $connect returns in %s", async (_where, answer) => {
    const api = await startApi(only$connect({ statusCode: 200, ...answer }));
    const client = await connect(api.gateway, { protocols: ["a", "b"] });
    expect(client.socket.protocol).toBe("b");
  });

  it("cannot inject a header into the handshake when it is not a token", async () => {
    const headers = { "Sec-WebSocket-Protocol": "a\r\nX-Smuggled: 1" };
    const api = await startApi(only$connect({ statusCode: 200, headers }));
    const answer = await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Protocol": "a" });
    expect([answer.status, answer.headers["x-smuggled"]]).toEqual([502, undefined]);
  });
});

describe("requests without an upgrade", () => {
  it.each(["/dev", "/dev/", "/dev?token=1"])("get 426 on %s", async (path) => {
    const api = await startApi();
    const { status, headers } = await http(api.gateway, path);
    expect([status, headers.upgrade]).toEqual([426, "websocket"]);
  });

  it("reach no handler", async () => {
    const api = await startApi();
    await http(api.gateway, "/dev");
    await http(api.gateway, "/dev", { method: "POST", body: "x" });
    expect(api.connects.size).toBe(0);
  });
});

describe("an upgrade that is refused before $connect", () => {
  it.each(["/", "/prod", "/dev/more", "/DEV"])(
    "is refused with 403 on %s, which is not the stage's path",
    async (path) => {
      const api = await startApi();
      expect((await upgrade(api.gateway, path)).status).toBe(403);
      expect(api.connects.size).toBe(0);
    },
  );

  it.each([
    ["no key", { "Sec-WebSocket-Key": "" }, 400],
    ["a key of the wrong length", { "Sec-WebSocket-Key": "c2hvcnQ=" }, 400],
    ["another version", { "Sec-WebSocket-Version": "12" }, 426],
    ["an upgrade to another protocol", { Upgrade: "h2c" }, 426],
    ["an invalid subprotocol", { "Sec-WebSocket-Protocol": "a b" }, 400],
  ])("is refused with %s", async (_what, headers, status) => {
    const api = await startApi();
    expect((await upgrade(api.gateway, "/dev", headers)).status).toBe(status);
    expect(api.connects.size).toBe(0);
  });

  it("gets the supported version with the status 426", async () => {
    const api = await startApi();
    const { headers } = await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Version": "12" });
    expect(headers).toMatchObject({ "sec-websocket-version": "13", upgrade: "websocket" });
  });

  it("causes no warning of the process", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const api = await startApi();
    await upgrade(api.gateway, "/prod");
    expect(warn).not.toHaveBeenCalled();
  });

  it("is refused with 403 from an origin that is not allowed", async () => {
    const api = await startApi({ allowedOrigins: ["https://good.example"] });
    const statuses = ["https://evil.example", "https://good.example"].map(
      async (Origin) => (await upgrade(api.gateway, "/dev", { Origin })).status,
    );
    expect(await Promise.all(statuses)).toEqual([403, 101]);
    expect((await upgrade(api.gateway)).status).toBe(101);
  });
});

describe("@connections during $connect", () => {
  it("returns gone, because nothing can be sent before the handshake", async () => {
    const outcomes: unknown[] = [];
    const api = await startApi({}, async (event) => {
      const { connectionId, eventType } = event.requestContext;
      if (eventType === "CONNECT") outcomes.push(await api.gateway.post(connectionId, "early"));
      return ok;
    });
    const { client, id } = await connectWithId(api);
    await api.gateway.post(id, "late");
    expect([outcomes, await client.messages.next()]).toEqual([["gone"], "late"]);
  });
});

describe("the Lambda context of $connect", () => {
  it("has the remaining time of the 29 seconds", async () => {
    const remaining: number[] = [];
    const api = await startApi({ clock: new ManualClock() }, (_event, context: LambdaContext) => {
      remaining.push(context.getRemainingTimeInMillis());
      return ok;
    });
    await upgrade(api.gateway);
    expect(remaining).toEqual([29_000]);
  });
});

describe("an upgrade that is not a GET", () => {
  it("is refused with 400", async () => {
    const api = await startApi();
    const client = new RawClient(api.gateway.port);
    client.request({ Host: "127.0.0.1", ...UPGRADE_HEADERS }, "POST /dev HTTP/1.1");
    expect(await client.head).toMatch(/^HTTP\/1\.1 400 /);
    expect(api.connects.size).toBe(0);
  });
});

describe("an upgrade over HTTP/1.0", () => {
  it.each(["HTTP/1.0", "HTTP/1.0\r\nConnection: keep-alive"])("is refused with 400 by %j", async (end) => {
    const api = await startApi();
    const client = new RawClient(api.gateway.port);
    client.request({ Host: "127.0.0.1", ...UPGRADE_HEADERS }, `GET /dev ${end}`);
    expect(await client.head).toMatch(/^HTTP\/1\.1 400 /);
    expect(api.connects.size).toBe(0);
  });
});
