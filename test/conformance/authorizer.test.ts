import { describe, expect, it } from "vitest";
import type { AuthorizerEvent } from "../../src/apigw/index.ts";
import { type GatewayOptions, ManualClock } from "../../src/gateway/index.ts";
import { connect, startApi, upgrade } from "./harness.ts";
import { Queue } from "./queue.ts";

const policy = (Effect: string, Resource: string | string[] = "*", Action = "execute-api:Invoke") => ({
  Version: "2012-10-17",
  Statement: [{ Action, Effect, Resource }],
});

const allow = { principalId: "user", policyDocument: policy("Allow") };

async function startWith(authorizer: (event: AuthorizerEvent) => unknown, options: GatewayOptions = {}) {
  const asked = new Queue<AuthorizerEvent>();
  const api = await startApi({
    ...options,
    authorizer: (event) => {
      asked.push(event);
      return authorizer(event);
    },
  });
  return { ...api, asked };
}

describe("a REQUEST authorizer", () => {
  it("receives the three headers of the documented input in addition to the client's", async () => {
    const api = await startWith(() => allow);
    await upgrade(api.gateway, "/dev", { HeaderAuth1: "headerValue1" });
    const { headers, multiValueHeaders } = await api.asked.next();
    const documented = { Connection: "upgrade", "content-length": "0", Upgrade: "websocket" };
    expect(headers).toMatchObject({ ...documented, HeaderAuth1: "headerValue1" });
    expect(multiValueHeaders).toMatchObject({
      Connection: ["upgrade"],
      "content-length": ["0"],
      Upgrade: ["websocket"],
    });
    expect((await api.connects.next()).headers).not.toHaveProperty("content-length");
  });

  it("receives a header of the documented input once, in the client's spelling", async () => {
    const api = await startWith(() => allow);
    await upgrade(api.gateway, "/dev", { "Content-Length": "0" });
    const { headers } = await api.asked.next();
    const names = Object.keys(headers).map((name) => name.toLowerCase());
    expect(names.filter((name) => name === "content-length")).toHaveLength(1);
    expect(headers).toHaveProperty("Content-Length", "0");
  });

  it("can read a header by the client's spelling, as the documented authorizer does", async () => {
    const { gateway } = await startWith(({ headers }) => {
      if (headers.HeaderAuth1 === "headerValue1") return allow;
      throw new Error("Unauthorized");
    });
    expect((await upgrade(gateway, "/dev", { HeaderAuth1: "headerValue1" })).status).toBe(101);
  });

  it("receives the CONNECT event, type, methodArn and the stage variables", async () => {
    const api = await startWith(() => allow, {
      region: "eu-west-1",
      accountId: "123456789012",
      apiId: "20kmit0mc5",
      stage: "prod",
      stageVariables: { v: "1" },
      clock: new ManualClock(),
    });
    await upgrade(api.gateway, "/prod?token=t");
    const event = await api.asked.next();
    const connected = await api.connects.next();
    const { authorizer, ...requestContext } = connected.requestContext;
    expect(event).toEqual({
      ...connected,
      headers: expect.objectContaining({ ...connected.headers, "X-Amzn-Trace-Id": expect.any(String) }),
      multiValueHeaders: expect.objectContaining({
        ...connected.multiValueHeaders,
        "X-Amzn-Trace-Id": expect.any(Array),
      }),
      requestContext: {
        ...requestContext,
        requestId: expect.any(String),
        extendedRequestId: event.requestContext.requestId,
      },
      type: "REQUEST",
      methodArn: "arn:aws:execute-api:eu-west-1:123456789012:20kmit0mc5/prod/$connect",
      stageVariables: { v: "1" },
    });
    expect(authorizer).toBeDefined();
  });

  it("accepts a client that its policy allows", async () => {
    const { gateway } = await startWith(() => allow);
    expect((await upgrade(gateway)).status).toBe(101);
  });

  it("refuses a client that its policy denies with 403, and $connect does not run", async () => {
    const api = await startWith(() => ({ ...allow, policyDocument: policy("Deny") }));
    expect((await upgrade(api.gateway)).status).toBe(403);
    expect(api.connects.size).toBe(0);
  });

  it.each([
    ["another route's", "arn:aws:execute-api:us-east-1:000000000000:abc/dev/other"],
    ["another stage's", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/$connect"],
    ["another API's", "arn:aws:execute-api:us-east-1:000000000000:xyz/dev/$connect"],
  ])("refuses a client with 403 when its policy allows %s ARN only", async (_whose, arn) => {
    const { gateway } = await startWith(() => ({ ...allow, policyDocument: policy("Allow", arn) }), {
      apiId: "abc",
    });
    expect((await upgrade(gateway)).status).toBe(403);
  });

  it("refuses a client that its policy both allows and denies", async () => {
    const Statement = [...policy("Allow").Statement, ...policy("Deny").Statement];
    const { gateway } = await startWith(() => ({ ...allow, policyDocument: { Statement } }));
    expect((await upgrade(gateway)).status).toBe(403);
  });

  it("accepts a client when its policy allows the received methodArn", async () => {
    const { gateway } = await startWith((event) => ({
      ...allow,
      policyDocument: policy("Allow", [event.methodArn]),
    }));
    expect((await upgrade(gateway)).status).toBe(101);
  });

  it.each([
    ["an Error", () => new Error("Unauthorized")],
    ["a string", () => "Unauthorized"],
  ])('refuses with 401 when it throws "Unauthorized" as %s', async (_how, thrown) => {
    const api = await startWith(() => Promise.reject(thrown()));
    expect((await upgrade(api.gateway)).status).toBe(401);
    expect(api.connects.size).toBe(0);
  });

  it.each([
    ["throws another error", () => Promise.reject(new Error("no database"))],
    ["returns nothing", () => undefined],
    ["returns no policy", () => ({ principalId: "user" })],
    ["returns no principal", () => ({ policyDocument: policy("Allow") })],
    ["returns a policy with an unknown effect", () => ({ ...allow, policyDocument: policy("Perhaps") })],
    ["returns a nested context", () => ({ ...allow, context: { user: { id: 1 } } })],
  ])("refuses with 500 when it %s", async (_what, authorizer) => {
    const api = await startWith(authorizer);
    expect((await upgrade(api.gateway)).status).toBe(500);
    expect(api.connects.size).toBe(0);
  });

  it("refuses with 500 when it takes longer than the integration timeout", async () => {
    const clock = new ManualClock();
    const api = await startWith(() => new Promise(() => {}), { clock });
    const answer = upgrade(api.gateway);
    await api.asked.next();
    clock.advance(29_000);
    expect((await answer).status).toBe(500);
  });

  it("is called on $connect only", async () => {
    const api = await startWith(() => allow);
    const client = await connect(api.gateway);
    client.send("hello");
    await api.messages.next();
    client.socket.close();
    await api.disconnects.next();
    await api.asked.next();
    expect(api.asked.size).toBe(0);
  });

  it("is called for each connection, without a cache", async () => {
    const api = await startWith(() => allow);
    await upgrade(api.gateway, "/dev?token=t");
    await upgrade(api.gateway, "/dev?token=t");
    expect(api.asked.size).toBe(2);
  });

  it("may be a callback function", async () => {
    const api = await startApi({ authorizer: (_event, _context, callback) => callback("Unauthorized") });
    expect((await upgrade(api.gateway)).status).toBe(401);
  });
});

describe("the authorizer's context", () => {
  it("is in every later event as strings, with the principal and the latency", async () => {
    const clock = new ManualClock();
    const context = { userId: "u1", level: 7, admin: true };
    const api = await startWith(
      () => {
        clock.advance(111);
        return { ...allow, context };
      },
      { clock },
    );
    const client = await connect(api.gateway);
    client.send("hello");
    const message = await api.messages.next();
    client.socket.close();
    const events = [await api.connects.next(), message, await api.disconnects.next()];
    const expected = {
      userId: "u1",
      level: "7",
      admin: "true",
      principalId: "user",
      integrationLatency: 111,
    };
    expect(events.map((event) => event.requestContext.authorizer)).toEqual([expected, expected, expected]);
  });

  it("has the latency of its own request, and not the time since the gateway's start", async () => {
    const clock = new ManualClock();
    const api = await startWith(() => allow, { clock });
    clock.advance(60_000);
    await upgrade(api.gateway);
    const { authorizer } = (await api.connects.next()).requestContext;
    expect(authorizer?.integrationLatency).toBe(0);
  });

  it("is absent when there is no authorizer", async () => {
    const api = await startApi();
    await upgrade(api.gateway);
    expect((await api.connects.next()).requestContext).not.toHaveProperty("authorizer");
  });

  it("is serialized as JSON: absent values stay absent, dates become text", async () => {
    const context = { sub: "ada", tenant_id: undefined, log: () => {}, since: new Date(0) };
    const api = await startWith(() => ({ ...allow, context }), { clock: new ManualClock() });
    await upgrade(api.gateway);
    expect((await api.connects.next()).requestContext.authorizer).toEqual({
      sub: "ada",
      since: "1970-01-01T00:00:00.000Z",
      principalId: "user",
      integrationLatency: 0,
    });
  });

  it("cannot replace the principal or the latency", async () => {
    const context = { principalId: "root", integrationLatency: "fast" };
    const api = await startWith(() => ({ ...allow, context }), { clock: new ManualClock() });
    await upgrade(api.gateway);
    expect((await api.connects.next()).requestContext.authorizer).toEqual({
      principalId: "user",
      integrationLatency: 0,
    });
  });
});

describe("the authorizer's result", () => {
  /** Returns a result that allows, with this size as JSON. */
  const ofBytes = (bytes: number) => {
    const empty = JSON.stringify({ ...allow, context: { fill: "" } }).length;
    return { ...allow, context: { fill: "x".repeat(bytes - empty) } };
  };

  it("may have 8,192 bytes", async () => {
    const { gateway } = await startWith(() => ofBytes(8_192));
    expect((await upgrade(gateway)).status).toBe(101);
  });

  it("causes a refusal with 500 at 8,193 bytes", async () => {
    const { gateway } = await startWith(() => ofBytes(8_193));
    expect((await upgrade(gateway)).status).toBe(500);
  });
});

describe("identity sources", () => {
  const identitySources = ["route.request.header.Authorization", "route.request.querystring.tenant"];

  it("call the authorizer when all are present", async () => {
    const api = await startWith(() => allow, { identitySources });
    expect((await upgrade(api.gateway, "/dev?tenant=t", { authorization: "x" })).status).toBe(101);
  });

  it.each([
    ["one is missing", "/dev?tenant=t", {}],
    ["one is empty", "/dev?tenant=", { authorization: "x" }],
    ["all are missing", "/dev", {}],
  ])("refuse with 401, without a call of the authorizer, when %s", async (_what, path, headers) => {
    const api = await startWith(() => allow, { identitySources });
    expect((await upgrade(api.gateway, path, headers)).status).toBe(401);
    expect([api.asked.size, api.connects.size]).toEqual([0, 0]);
  });

  it("may be stage variables and context fields", async () => {
    const sources = ["stageVariables.v", "context.identity.sourceIp"];
    const api = await startWith(() => allow, { identitySources: sources, stageVariables: { v: "1" } });
    expect((await upgrade(api.gateway)).status).toBe(101);
  });

  it("are optional: without them the authorizer may read the token from any place", async () => {
    const api = await startWith((event) => {
      if (event.headers["Sec-WebSocket-Protocol"] !== "token.t") throw new Error("Unauthorized");
      return allow;
    });
    expect((await upgrade(api.gateway, "/dev", { "Sec-WebSocket-Protocol": "token.t" })).status).toBe(101);
  });

  it("are own properties of the request, so __proto__ is not a parameter", async () => {
    const api = await startWith(() => allow, { identitySources: ["route.request.querystring.__proto__"] });
    expect((await upgrade(api.gateway)).status).toBe(401);
  });
});

describe("an authorizer's failure", () => {
  it("does not reveal its cause to the client", async () => {
    const api = await startWith(() => Promise.reject(new Error("password=hunter2")));
    expect((await upgrade(api.gateway)).body).not.toMatch(/hunter2|at .*\.ts/);
  });

  it("is reported to the operator", async () => {
    const error = new Error("no database");
    const api = await startWith(() => Promise.reject(error));
    await upgrade(api.gateway);
    expect(await api.reports.next()).toMatchObject({ routeKey: "authorizer", status: 500, error });
  });

  it("is reported with the cause of a result that is not JSON, and without one for another invalid result", async () => {
    const circular: { [name: string]: unknown } = { principalId: "ada" };
    circular.self = circular;
    const results = [circular, { principalId: "ada" }];
    const api = await startWith(() => results.shift() as never);
    for (let each = 0; each < 2; each++) await upgrade(api.gateway);
    const [first, second] = (await api.reports.take(2)).map(({ error }) => error);
    expect(first).toHaveProperty(
      "cause",
      expect.objectContaining({ message: expect.stringMatching("circular") }),
    );
    expect(second).not.toHaveProperty("cause");
  });
});
