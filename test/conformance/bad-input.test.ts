import { describe, expect, it } from "vitest";
import type { LambdaHandler } from "../../src/apigw/index.ts";
import { ManualClock } from "../../src/gateway/index.ts";
import {
  type Api,
  connect,
  connectWithId,
  errorFrame,
  http,
  ok,
  startApi,
  turn,
  upgrade,
} from "./harness.ts";
import { frame, nextClose, OPCODE, RawClient, rawConnect } from "./raw-client.ts";

/** Checks that the gateway still works: a new client's message gets a response. */
async function expectAlive(api: Api) {
  const client = await connect(api.gateway);
  client.send({ action: "alive" });
  for (;;) {
    const { requestContext } = await api.messages.next();
    if (requestContext.routeKey === "alive") return;
  }
}

const alive = { $connect: () => ok, alive: () => ok };

/** Returns the route key of a message when `$default` is the only route. */
async function keyOf(text: string) {
  const api = await startApi({ routes: { $default: () => ok } });
  const client = await connect(api.gateway);
  client.send(text);
  return (await api.messages.next()).requestContext.routeKey;
}

describe("malformed messages", () => {
  it.each([
    ["truncated JSON", '{"action":'],
    ["a lone bracket", "["],
    ["a NUL", "\0"],
    ["a lone surrogate in an escape", '{"action":"\\ud800"}'],
    ["JSON with a byte order mark", '\ufeff{"action":"alive"}'],
    ["an enormous number", '{"action":1e999}'],
  ])("with %s go to $default unchanged", async (_what, text) => {
    const api = await startApi({ routes: { ...alive, $default: () => ok } });
    const client = await connect(api.gateway);
    client.send(text);
    expect(await api.messages.next()).toMatchObject({ requestContext: { routeKey: "$default" }, body: text });
  });

  it("that are not UTF-8 close their own connection only, with 1007", async () => {
    const api = await startApi({ routes: alive });
    const other = await connect(api.gateway);
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.text, Buffer.from([0xff, 0xfe, 0xfd])));
    expect((await nextClose(client)).code).toBe(1007);
    other.send({ action: "alive" });
    expect((await api.messages.next()).requestContext.routeKey).toBe("alive");
  });

  it("of 128 KB and one byte close their own connection only, with 1009", async () => {
    const api = await startApi({ routes: alive });
    const client = await connect(api.gateway);
    client.sendInFrames([...Array(4).fill(32_768), 1]);
    expect((await client.closed).code).toBe(1009);
    await expectAlive(api);
  });

  it("with a frame of 32 KB and one byte close their own connection only, with 1009", async () => {
    const api = await startApi({ routes: alive });
    const client = await connect(api.gateway);
    client.sendInFrames([32_769]);
    expect((await client.closed).code).toBe(1009);
    await expectAlive(api);
  });

  it.each([
    ["arrays", `${"[".repeat(60_000)}${"]".repeat(60_000)}`],
    ["objects", `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`],
    ["the selected field", `{"action":${"[".repeat(60_000)}${"]".repeat(60_000)}}`],
  ])("with the deepest possible nesting in %s go to $default", async (_where, text) => {
    const api = await startApi({ routes: { ...alive, $default: () => ok } });
    const client = await connect(api.gateway);
    const middle = 32_000;
    for (let at = 0; at < text.length; at += middle) {
      client.socket.send(text.slice(at, at + middle), { fin: at + middle >= text.length });
    }
    const { requestContext, body } = await api.messages.next();
    expect([requestContext.routeKey, body === text]).toEqual(["$default", true]);
    await expectAlive(api);
  });
});

describe("names of Object's properties", () => {
  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "%s without a route of that name goes to $default",
    async (action) => {
      expect(await keyOf(`{"action":"${action}"}`)).toBe("$default");
    },
  );

  it.each(["__proto__", "constructor", "toString"])(
    "%s without a route of that name and without $default gets the Forbidden frame",
    async (action) => {
      const api = await startApi({ routes: alive });
      const { client, id } = await connectWithId(api);
      client.send(`{"action":"${action}"}`);
      const text = await client.messages.next();
      expect(text).toBe(errorFrame("Forbidden", id, JSON.parse(text).requestId));
    },
  );

  it.each(["__proto__", "constructor"])("%s can be the name of a route", async (action) => {
    const routes = Object.fromEntries([[action, () => ok]]);
    const api = await startApi({ routes });
    const client = await connect(api.gateway);
    client.send(`{"action":"${action}"}`);
    expect((await api.messages.next()).requestContext.routeKey).toBe(action);
  });

  it.each(["__proto__", "constructor", "constructor.name", "toString"])(
    "%s as the selected field is read from the message only",
    async (path) => {
      // `handler` accepts every key that is not empty, so an inherited property would become the routeKey.
      const api = await startApi({ routeSelectionExpression: `$request.body.${path}` });
      const client = await connect(api.gateway);
      client.send("{}");
      expect((await api.messages.next()).requestContext.routeKey).toBe("$default");
    },
  );

  it("do not pollute prototypes: a message with __proto__ changes no other object", async () => {
    await keyOf('{"__proto__":{"polluted":true},"action":"x"}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("can be names of headers and parameters", async () => {
    const api = await startApi();
    await upgrade(api.gateway, "/dev?__proto__=q&constructor=c", { __proto__header: "h", constructor: "k" });
    const event = await api.connects.next();
    expect(Object.entries(event.queryStringParameters ?? {})).toEqual([
      ["__proto__", "q"],
      ["constructor", "c"],
    ]);
    expect(Object.hasOwn(event.headers, "constructor")).toBe(true);
  });
});

describe("oversized and malformed requests", () => {
  /** Returns headers for a request with `count` headers: Host and the upgrade headers are five of them. */
  const headers = (count: number, value = "v") =>
    Object.fromEntries(Array.from({ length: count - 5 }, (_, n) => [`X-${n}`, value]));

  it("with 1,000 headers arrive complete", async () => {
    const api = await startApi();
    expect((await upgrade(api.gateway, "/dev", headers(1_000))).status).toBe(101);
    const names = Object.keys((await api.connects.next()).headers);
    expect(names.filter((name) => /^X-\d+$/.test(name))).toHaveLength(995);
  });

  it("with 1,001 headers are refused with 431, because of Node's limit", async () => {
    const api = await startApi({ routes: alive });
    expect((await upgrade(api.gateway, "/dev", headers(1_001))).status).toBe(431);
    await expectAlive(api);
  });

  it("with 100 KB of headers are refused with 431", async () => {
    const api = await startApi({ routes: alive });
    expect((await upgrade(api.gateway, "/dev", headers(1_000, "v".repeat(100)))).status).toBe(431);
    await expectAlive(api);
  });

  it("with a URL of 5,000 characters are refused with 414", async () => {
    const api = await startApi({ routes: alive });
    expect((await upgrade(api.gateway, `/dev?q=${"x".repeat(4_993)}`)).status).toBe(414);
    await expectAlive(api);
  });

  it.each(["/%", "/dev/%E0%A4%A", "/dev/@connections/%", "/%/@connections/x", "//", "/dev?%", "*"])(
    "to the path %s get a 4xx response",
    async (path) => {
      const api = await startApi({ routes: alive });
      const { status } = await http(api.gateway, path);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      await expectAlive(api);
    },
  );

  it("that are not HTTP get a response with 400", async () => {
    const api = await startApi({ routes: alive });
    const client = new RawClient(api.gateway.port);
    client.socket.write("\x00\xff\xfe not HTTP \r\n\r\n");
    expect(await client.head).toMatch(/^HTTP\/1\.1 400 /);
    await expectAlive(api);
  });

  it("that end in the middle of the handshake do not affect the gateway", async () => {
    const api = await startApi({ routes: alive });
    const client = new RawClient(api.gateway.port);
    client.socket.end("GET /dev HTTP/1.1\r\nUpgrade: webso");
    await client.ended;
    await expectAlive(api);
  });
});

describe("an unknown route", () => {
  it("gets the Forbidden frame, and the connection stays open", async () => {
    const api = await startApi({ routes: alive });
    const { client, id } = await connectWithId(api);
    client.send({ action: "no such route" });
    const text = await client.messages.next();
    expect(text).toBe(errorFrame("Forbidden", id, JSON.parse(text).requestId));
    await expectAlive(api);
  });
});

const circular: { self?: unknown } = {};
circular.self = circular;

const bad: [string, LambdaHandler][] = [
  ["throws an Error", () => throwNow(new Error("secret stack"))],
  ["throws a string", () => throwNow("secret string")],
  ["throws undefined", () => throwNow(undefined)],
  ["rejects with a string", () => Promise.reject("secret string")],
  ["returns nothing", () => undefined],
  ["returns a number", () => 200],
  ["returns a circular body", () => ({ statusCode: 200, body: circular })],
  ["returns a circular header", () => ({ statusCode: 200, headers: circular })],
  ["returns a BigInt", () => ({ statusCode: 200, headers: { n: 1n } })],
  [
    "returns a getter that throws",
    () => ({
      get statusCode() {
        return throwNow(new Error("secret"));
      },
    }),
  ],
  [
    "returns a thenable that throws",
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: the test needs a `then` that is not a function
      get then() {
        return throwNow(new Error("secret"));
      },
    }),
  ],
  ["returns a status out of range", () => ({ statusCode: 1_000 })],
];

describe("a faulty message handler", () => {
  it.each(bad)(
    "that %s causes an error frame without a stack, and the gateway continues",
    async (_what, handler) => {
      const api = await startApi({ routes: { ...alive, bad: handler } });
      const { client, id } = await connectWithId(api);
      client.send({ action: "bad" });
      const text = await client.messages.next();
      const { requestId } = (await api.messages.next()).requestContext;
      expect(text).toBe(errorFrame("Internal server error", id, requestId));
      await expectAlive(api);
    },
  );

  it("that never returns causes the timeout frame, and the gateway continues", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, routes: { ...alive, bad: () => new Promise(() => {}) } });
    const { client, id } = await connectWithId(api);
    client.send({ action: "bad" });
    const { requestId } = (await api.messages.next()).requestContext;
    clock.advance(29_000);
    expect(await client.messages.next()).toBe(errorFrame("Endpoint request timed out", id, requestId));
    await expectAlive(api);
  });
});

describe("a faulty $connect handler", () => {
  it.each(bad)(
    "that %s causes a refusal with 502 and without a stack, and the gateway continues",
    async (_what, handler) => {
      let first = true;
      const $connect: LambdaHandler = (...args) => {
        if (!first) return ok;
        first = false;
        return handler(...args);
      };
      const api = await startApi({ routes: { ...alive, $connect } });
      const { status, body } = await upgrade(api.gateway);
      expect([status, body.includes("secret")]).toEqual([502, false]);
      await expectAlive(api);
    },
  );
});

describe("a faulty $disconnect handler", () => {
  it.each([...bad, ["never returns", () => new Promise(() => {})] as [string, LambdaHandler]])(
    "that %s does not affect the gateway",
    async (_what, $disconnect) => {
      const api = await startApi({ routes: { ...alive, $disconnect } });
      const client = await connect(api.gateway);
      client.socket.close();
      await api.disconnects.next();
      await turn();
      await expectAlive(api);
    },
  );
});

describe("a faulty authorizer", () => {
  it.each(bad)("that %s causes a refusal with 500 and without a stack", async (_what, authorizer) => {
    const api = await startApi({ authorizer: authorizer as never });
    const { status, body } = await upgrade(api.gateway);
    expect([status, body.includes("secret")]).toEqual([500, false]);
  });
});

function throwNow(error: unknown): never {
  throw error;
}
