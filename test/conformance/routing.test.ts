import { describe, expect, it } from "vitest";
import type { LambdaHandler, WebSocketResult } from "../../src/apigw/index.ts";
import { type GatewayOptions, ManualClock } from "../../src/gateway/index.ts";
import { type Api, connectWithId, errorFrame, gate, ok, startApi } from "./harness.ts";

const answer200: LambdaHandler = () => ok;

/** Sends each text to an API with these routes, and resolves to the route keys of the events. */
async function routeKeys(routes: string[], texts: string[], options: GatewayOptions = {}) {
  const api = await startApi({
    ...options,
    routes: Object.fromEntries(["$connect", ...routes].map((key) => [key, answer200])),
  });
  const { client } = await connectWithId(api);
  for (const text of texts) client.send(text);
  const events = await api.messages.take(texts.length);
  return events.map((event) => event.requestContext.routeKey);
}

async function selectedKey(expression: string, body: unknown, routes: string[]) {
  const options = { routeSelectionExpression: expression };
  const [key] = await routeKeys([...routes, "$default"], [JSON.stringify(body)], options);
  return key;
}

/** Resolves to the frames that the client gets after one message, up to a mark posted when its handler has ended. */
async function framesAfter(handler: LambdaHandler, options: GatewayOptions = {}): Promise<string[]> {
  const api = await startApi({ ...options, routes: { $connect: answer200, act: handler } });
  const { client, id } = await connectWithId(api);
  await api.reports.next();
  client.send({ action: "act" });
  await api.reports.next();
  await api.gateway.post(id, "mark");
  const frames: string[] = [];
  for (let text = await client.messages.next(); text !== "mark"; text = await client.messages.next()) {
    frames.push(text);
  }
  return frames;
}

/** Sends a message and resolves to the frame that it gets, with the connection's id. */
async function errorFor(api: Api, text: string) {
  const { client, id } = await connectWithId(api);
  client.send(text);
  return { frame: await client.messages.next(), id, client };
}

describe("the route selection expression", () => {
  it.each([
    ["$request.body.action", { action: "join" }, "join"],
    ["${request.body.action}", { action: "join" }, "join"],
    ["$request.body.x.y", { x: { y: "deep" } }, "deep"],
    ["${request.body.x.y}", { x: { y: "deep" } }, "deep"],
    ["$request.body.list[1]", { list: ["a", "b"] }, "b"],
    ["$request.body.action-name", { "action-name": "dashed" }, "dashed"],
    ["${request.body.a}/${request.body.b}", { a: "x", b: "y" }, "x/y"],
    ["${request.body.a}${request.body.b}", { a: "x", b: "y" }, "xy"],
    ["v1.$request.body.action", { action: "join" }, "v1.join"],
    ["\\$${request.body.action}", { action: "join" }, "$join"],
  ])("%s of %j selects the route", async (expression, body, key) => {
    expect(await selectedKey(expression, body, [key])).toBe(key);
  });

  it.each([
    ["a number", 1, "1"],
    ["a boolean", true, "true"],
    ["an object", { a: 1 }, '{"a":1}'],
    ["an array", ["a", 2], '["a",2]'],
  ])("converts %s to a string before it matches", async (_what, action, key) => {
    expect(await selectedKey("$request.body.action", { action }, [key])).toBe(key);
  });

  it("treats a missing path as an empty string", async () => {
    expect(await selectedKey("${request.body.a}.${request.body.b}", { a: "x" }, ["x."])).toBe("x.");
  });

  it("is evaluated once: an expression in the message is text", async () => {
    const body = { action: "${request.body.other}", other: "admin" };
    expect(await selectedKey("$request.body.action", body, ["admin"])).toBe("$default");
  });

  it("matches exactly, with case and spaces", async () => {
    const texts = ["join", "Join", "join ", "joi"].map((action) => JSON.stringify({ action }));
    expect(await routeKeys(["join", "$default"], texts)).toEqual([
      "join",
      "$default",
      "$default",
      "$default",
    ]);
  });

  it("is $request.body.action by default", async () => {
    expect(await routeKeys(["join"], ['{"action":"join"}'])).toEqual(["join"]);
  });
});

describe("$default", () => {
  it.each([
    ["text that is not JSON", "hello"],
    ["an empty message", ""],
    ["truncated JSON", '{"action":"join"'],
    ["a value that matches no route", '{"action":"nowhere"}'],
    ["a message without the field", "{}"],
    ["JSON that is not an object", "[1]"],
    ["null", "null"],
  ])("receives %s, and routeKey is $default", async (_what, text) => {
    expect(await routeKeys(["join", "$default"], [text])).toEqual(["$default"]);
  });

  it.each(["$connect", "$disconnect"])("receives a message that selects %s", async (action) => {
    expect(await routeKeys(["$disconnect", "$default"], [JSON.stringify({ action })])).toEqual(["$default"]);
  });

  it("can be selected by its own name", async () => {
    expect(await routeKeys(["$default"], ['{"action":"$default"}'])).toEqual(["$default"]);
  });
});

describe("a message that no route matches, without $default", () => {
  it.each([
    ["names an unknown route", '{"action":"nowhere"}'],
    ["is not JSON", "hello"],
    ["selects $connect", '{"action":"$connect"}'],
    ["selects $disconnect", '{"action":"$disconnect"}'],
  ])("gets the exact Forbidden frame when it %s", async (_what, text) => {
    const api = await startApi({ routes: { $connect: answer200, $disconnect: answer200, join: answer200 } });
    const { frame, id } = await errorFor(api, text);
    expect(frame).toBe(errorFrame("Forbidden", id, JSON.parse(frame).requestId));
  });

  it("gets a different request id each time", async () => {
    const api = await startApi({ routes: { $connect: answer200 } });
    const { frame, client } = await errorFor(api, "one");
    client.send("two");
    const ids = [frame, await client.messages.next()].map((text) => JSON.parse(text).requestId);
    expect([new Set(ids).size, ids[0]]).toEqual([2, expect.stringMatching(/^[\w-]{15}=$/)]);
  });

  it("does not close the socket", async () => {
    const api = await startApi({ routes: { $connect: answer200, join: answer200 } });
    const { client } = await errorFor(api, "nowhere");
    client.send({ action: "join" });
    expect((await api.messages.next()).requestContext.routeKey).toBe("join");
  });
});

describe("a handler that fails on a message", () => {
  const failures: [string, LambdaHandler][] = [
    ["throws", () => Promise.reject(new Error("secret"))],
    ["throws before its first await", () => throwNow(new Error("secret"))],
    ["throws a string", () => throwNow("secret")],
    ["returns nothing", () => undefined],
    ["returns null", () => null],
    ["returns no statusCode", () => ({ body: "x" })],
    ["returns a statusCode that is not a number", () => ({ statusCode: "OK" })],
    ["returns a body that is not a string", () => ({ statusCode: 200, body: { a: 1 } })],
    ["returns fields of a post", () => ({ statusCode: 200, Data: "x", ConnectionId: "x" })],
    ["returns another unknown field", () => ({ statusCode: 200, data: "x" })],
  ];

  it.each(failures)("causes the exact Internal server error frame when it %s", async (_what, handler) => {
    const api = await startApi({ routes: { $connect: answer200, $default: handler } });
    const { frame, id } = await errorFor(api, "x");
    const { requestId } = (await api.messages.next()).requestContext;
    expect(frame).toBe(errorFrame("Internal server error", id, requestId));
  });

  it("does not close the socket, and is not retried", async () => {
    const api = await startApi({
      routes: { $connect: answer200, $default: () => throwNow("once"), join: answer200 },
    });
    const { client } = await errorFor(api, "x");
    client.send({ action: "join" });
    const keys = (await api.messages.take(2)).map((event) => event.requestContext.routeKey);
    expect(keys).toEqual(["$default", "join"]);
  });
});

describe("a handler that takes 29 seconds", () => {
  it("causes the exact Endpoint request timed out frame", async () => {
    const clock = new ManualClock();
    const api = await startApi({
      clock,
      routes: { $connect: answer200, $default: () => new Promise(() => {}) },
    });
    const { client, id } = await connectWithId(api);
    client.send("x");
    const { requestId } = (await api.messages.next()).requestContext;
    clock.advance(29_000);
    expect(await client.messages.next()).toBe(errorFrame("Endpoint request timed out", id, requestId));
  });

  it("may still return at 28,999 ms", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<WebSocketResult>();
    const api = await startApi({
      clock,
      routes: { $connect: answer200, $default: () => opened },
      routeResponses: ["$default"],
    });
    const { client } = await connectWithId(api);
    client.send("x");
    await api.messages.next();
    clock.advance(28_999);
    open({ statusCode: 200, body: "in time" });
    expect(await client.messages.next()).toBe("in time");
  });

  it("is ignored when it ends later", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<WebSocketResult>();
    const api = await startApi({
      clock,
      routes: { $connect: answer200, $default: () => opened },
      routeResponses: ["$default"],
    });
    const { client, id } = await connectWithId(api);
    client.send("x");
    await api.messages.next();
    clock.advance(29_000);
    await client.messages.next();
    open({ statusCode: 200, body: "too late" });
    await opened;
    await api.gateway.post(id, "mark");
    expect(await client.messages.next()).toBe("mark");
  });

  it("does not close the socket", async () => {
    const clock = new ManualClock();
    const api = await startApi({
      clock,
      routes: { $connect: answer200, $default: () => new Promise(() => {}), join: answer200 },
    });
    const { client } = await connectWithId(api);
    client.send("x");
    await api.messages.next();
    clock.advance(29_000);
    await client.messages.next();
    client.send({ action: "join" });
    expect((await api.messages.next()).requestContext.routeKey).toBe("join");
  });
});

describe("a well-formed result on a message route", () => {
  it.each([200, 302, 400, 403, 404, 500, 502])("with status %i sends nothing", async (statusCode) => {
    expect(await framesAfter(() => ({ statusCode, body: "not for the client" }))).toEqual([]);
  });

  it("sends its body when the route has a route response", async () => {
    const frames = await framesAfter(() => ({ statusCode: 200, body: "welcome" }), {
      routeResponses: ["act"],
    });
    expect(frames).toEqual(["welcome"]);
  });

  it("discards its body when only another route has a route response", async () => {
    const frames = await framesAfter(() => ({ statusCode: 200, body: "x" }), { routeResponses: ["other"] });
    expect(frames).toEqual([]);
  });

  it.each([undefined, null])(
    "with the body %j sends nothing when the route has a route response",
    async (body) => {
      const handler = () => ({ statusCode: 200, body });
      expect(await framesAfter(handler, { routeResponses: ["act"] })).toEqual([]);
    },
  );

  it("with an empty body sends an empty message when the route has a route response", async () => {
    const frames = await framesAfter(() => ({ statusCode: 200, body: "" }), { routeResponses: ["act"] });
    expect(frames).toEqual([""]);
  });

  it("sends a body of 128 KB when the route has a route response", async () => {
    const body = "x".repeat(131_072);
    expect(await framesAfter(() => ({ statusCode: 200, body }), { routeResponses: ["act"] })).toEqual([body]);
  });

  it("with a body over 128 KB causes an error frame when the route has a route response", async () => {
    const handler = () => ({ statusCode: 200, body: "x".repeat(131_073) });
    const [frame = "{}"] = await framesAfter(handler, { routeResponses: ["act"] });
    expect(JSON.parse(frame)).toMatchObject({ message: "Internal server error" });
  });

  it("may have its status as numeric text", async () => {
    const handler = () => ({ statusCode: "200", body: "welcome" });
    expect(await framesAfter(handler, { routeResponses: ["act"] })).toEqual(["welcome"]);
  });

  it("may have headers with a number as the value", async () => {
    const handler = () => ({ statusCode: 200, headers: { "X-N": 1 }, isBase64Encoded: false });
    expect(await framesAfter(handler)).toEqual([]);
  });
});

describe("messages of one connection", () => {
  it("are handled concurrently, so a slow one does not delay the next", async () => {
    const { opened, open } = gate<WebSocketResult>();
    const api = await startApi({
      routes: {
        $connect: answer200,
        slow: () => opened,
        fast: () => ({ statusCode: 200, body: "fast" }),
      },
      routeResponses: ["slow", "fast"],
    });
    const { client } = await connectWithId(api);
    client.send({ action: "slow" });
    client.send({ action: "fast" });
    const first = await client.messages.next();
    open({ statusCode: 200, body: "slow" });
    expect([first, await client.messages.next()]).toEqual(["fast", "slow"]);
  });
});

function throwNow(error: unknown): never {
  throw error;
}
