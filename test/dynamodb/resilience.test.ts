// A whole application under faults. Afterwards every open connection has a row, no other row outlives its expiry, and
// every client whose request failed received an error.
import { fork } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { SignJWT } from "jose";
import { jsonLogger, type LiftOptions, type WebSocketHandler } from "lift-ws";
import { createGateway, type EventReport } from "lift-ws/gateway";
import { webSocketAuth } from "lift-ws/middleware/auth";
import type { ConnectionStore } from "lift-ws/store";
import type { DynamoDBConnectionStoreOptions } from "lift-ws/store/dynamodb";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  type RecordingConnections,
  recordingConnections,
} from "lift-ws/testing";
import { beforeEach, describe, expect, inject, it, onTestFinished } from "vitest";
import { connect as connectSocket, dial, gate } from "../conformance/harness.ts";
import { Queue } from "../conformance/queue.ts";
import { type AppState, createApp, TENANT } from "./app.ts";
import { ConnectionTable, DEFAULT_TIMEOUT, localClient, MINUTE } from "./connection-table.ts";
import type { CrashOptions } from "./crashing-function.ts";
import {
  type Fault,
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
  throttleFor,
} from "./request-faults.ts";

/** Maximum age of a readable row: the lifetime limit plus ten minutes. */
const ROW_MS = 130 * MINUTE;

let table: ConnectionTable;
/** Reads the rows without injected faults. */
let witness: ConnectionStore;

beforeEach(async () => {
  table = await ConnectionTable.create();
  witness = table.store();
});

interface Running {
  readonly connections: RecordingConnections;
  readonly logged: string[];
  connect(id: string, query?: { [name: string]: string }, time?: number): Promise<Answer>;
  /** The messages that the client received. */
  send(id: string, route: string, body?: object, time?: number): Promise<unknown>;
  disconnect(id: string, time?: number): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  /** The error code of the response. */
  readonly code: string | undefined;
}

function run(
  store: Partial<DynamoDBConnectionStoreOptions> = {},
  options: LiftOptions<AppState> = {},
  prepare: (app: ReturnType<typeof createApp>) => unknown = () => {},
): Running {
  const connections = recordingConnections();
  const logged: string[] = [];
  const app = createApp({
    connections,
    connectionStore: table.store(store),
    now: store.now ?? table.now,
    logger: jsonLogger({ write: (_level, line) => logged.push(line) }),
    ...options,
  });
  prepare(app);
  const handler: WebSocketHandler = app.webSocketHandler();
  const answer = async (result: ReturnType<WebSocketHandler>): Promise<Answer> => {
    const { statusCode, body } = await result;
    return { status: statusCode, code: body === undefined ? undefined : JSON.parse(body).error?.code };
  };
  const context = (time = 29_000) => lambdaContext({ getRemainingTimeInMillis: () => time });
  return {
    connections,
    logged,
    connect: (id, query = {}, time) => answer(handler(connect(id, query), context(time))),
    send: async (id, route, body = {}, time) => {
      const before = connections.sentTo(id).length;
      await handler(messageEvent(route, body, { connectionId: id }), context(time));
      return connections.jsonSentTo(id)[before];
    },
    disconnect: (id, time) => answer(handler(disconnectEvent({ connectionId: id }), context(time))),
  };
}

const connect = (connectionId: string, query: { [name: string]: string } = {}) =>
  connectEvent({ connectionId, query, requestContext: { connectedAt: table.now() } });

const OK = { status: 200, code: undefined };
const NOT_NOW = { type: "error", error: { code: "STORE_FAILED", retry: true } };

/** Checks that only these rows remain, and that none remains after they expired. */
async function expectRowsOf(...open: string[]): Promise<void> {
  for (const id of open) expect((await witness.get(id))?.id).toBe(id);
  expect(await table.ids(witness.listByTenant(TENANT))).toEqual(open.toSorted());
  expect(await witness.count()).toBe(open.length);
  const rows = (await table.readItems()).filter((item) => item.Kind === undefined);
  const latest = Math.ceil((table.now() + ROW_MS) / 1_000);
  for (const row of rows) expect(Number(row.ExpiresAt?.N)).toBeLessThanOrEqual(latest);
  table.advance(ROW_MS);
  expect(await witness.count()).toBe(0);
  expect(await table.ids(witness.listByTenant(TENANT))).toEqual([]);
}

function failing(choose: Parameters<typeof injectFaults>[1]) {
  const client = localClient();
  injectFaults(client, choose);
  return client;
}

describe.each([{}, { maxConnections: 100 }])("an application on DynamoDB, with the limit %o,", (limit) => {
  it("survives 5 seconds of throttling in every event without lost state", async () => {
    let choose: () => Fault | undefined = () => undefined;
    const app = run({ ...limit, ...DEFAULT_TIMEOUT, client: failing(() => choose()) });
    for (const id of ["a", "b", "c", "e"]) expect(await app.connect(id)).toEqual(OK);
    choose = throttleFor(5_000, 1_000);
    const back = performance.now() + 5_000;
    const outcomes = await Promise.all([
      app.connect("d"),
      app.send("a", "move", { room: "r1" }),
      app.send("b", "add"),
      app.send("e", "who"),
      app.disconnect("c"),
    ]);
    expect(performance.now()).toBeGreaterThanOrEqual(back);
    expect(outcomes).toEqual([OK, "moving", { added: 1 }, { userId: "ada", tenantId: TENANT }, OK]);
    expect((await witness.get("a"))?.state).toEqual({ room: "r1" });
    await expectRowsOf("a", "b", "d", "e");
  });

  it("returns an error in the function's time while throttling lasts", async () => {
    let choose: () => Fault | undefined = () => undefined;
    // The store would retry for an hour, so only the function's deadline ends a call before the test times out.
    const app = run({ ...limit, client: failing(() => choose()) });
    for (const id of ["a", "b"]) await app.connect(id);
    choose = throttleFor(Number.POSITIVE_INFINITY, 5_000);
    const outcomes = await Promise.all([app.connect("c"), app.send("a", "add"), app.disconnect("b")]);
    const refused = { status: 503, code: "STORE_FAILED" };
    expect(outcomes).toMatchObject([refused, NOT_NOW, refused]);
    expect(app.logged.filter((line) => line.includes("ProvisionedThroughputExceededException"))).toHaveLength(
      4,
    );
    choose = () => undefined;
    expect(await app.send("a", "add")).toEqual({ added: 1 });
    // The row of b, which its $disconnect could not delete, remains until it expires.
    await expectRowsOf("a", "b");
  });

  it.each<[string, Fault]>([
    ["is refused", THROTTLED],
    ["fails", INTERNAL_ERROR],
    ["is carried out, and the answer lost", RESPONSE_LOST],
  ])("applies everything once when every call %s the first time", async (_what, fault) => {
    const app = run({ ...limit, client: failing(failFirstAttempts(fault)) });
    for (const id of ["a", "b"]) expect(await app.connect(id)).toEqual(OK);
    await Promise.all(Array.from({ length: 5 }, () => app.send("a", "add")));
    const added = app.connections.jsonSentTo("a").map((answer) => (answer as { added: number }).added);
    expect(added.sort()).toEqual([1, 2, 3, 4, 5]);
    expect(await app.send("a", "move", { room: "r1" })).toBe("moving");
    expect((await witness.get("a"))?.state).toEqual({ added: 5, room: "r1" });
    expect(await app.disconnect("b")).toEqual(OK);
    expect(await table.readCount()).toBe(limit.maxConnections === undefined ? 0 : 1);
    await expectRowsOf("a");
  });

  it("changes nothing when $disconnect arrives twice, or three times at once", async () => {
    const app = run(limit);
    await app.connect("a");
    expect([await app.disconnect("a"), await app.disconnect("a")]).toEqual([OK, OK]);
    // Enough connections to share the shards of the count with the remaining ones.
    const ids = Array.from({ length: 60 }, (_, n) => `id-${n}`);
    await Promise.all(ids.map((id) => app.connect(id)));
    const [stay, go] = [ids.slice(30), ids.slice(0, 30)];
    const answers = await Promise.all([...go, ...go, ...go].map((id) => app.disconnect(id)));
    expect(answers).toEqual(answers.map(() => OK));
    expect(await table.readCount()).toBe(limit.maxConnections === undefined ? 0 : 30);
    await expectRowsOf(...stay);
  });

  it("refuses a $connect that ends after its $disconnect", async () => {
    const app = run(limit, {}, (made) =>
      made.use(async (ctx, next) => {
        await next();
        if (ctx.route === "$connect") await app.disconnect("a");
      }),
    );
    expect(await app.connect("a")).toEqual({ status: 410, code: "CONNECTION_CLOSED" });
    expect(await table.readCount()).toBe(0);
    await expectRowsOf();
  });

  it("leaves no row when $connect and $disconnect run at once", async () => {
    const app = run(limit);
    const ids = Array.from({ length: 40 }, (_, n) => `id-${n}`);
    const both = ids.flatMap((id) => [app.connect(id), app.disconnect(id)]);
    const statuses = new Set((await Promise.all(both)).map(({ status }) => status));
    expect([...statuses].filter((status) => status !== 200 && status !== 410)).toEqual([]);
    expect(await table.readCount()).toBe(0);
    await expectRowsOf();
  });

  it("expires a connection whose $disconnect never arrives", async () => {
    const app = run(limit);
    await app.connect("a");
    table.advance(ROW_MS - 1);
    expect(await app.send("a", "who")).toEqual({ userId: "ada", tenantId: TENANT });
    table.advance(1);
    expect(await app.send("a", "who")).toEqual({});
    const closed = { type: "error", error: { code: "CONNECTION_CLOSED" } };
    expect(await app.send("a", "move", { room: "r1" })).toBe("moving");
    expect(app.connections.jsonSentTo("a").at(-1)).toMatchObject(closed);
    await expectRowsOf();
  });

  it.each([2, -2])("shares its limit with a function whose clock is %i minutes off", async (minutes) => {
    const off = run({ ...limit, now: () => table.now() + minutes * MINUTE });
    const app = run(limit);
    for (const id of ["a", "b", "c"]) expect(await off.connect(id)).toEqual(OK);
    expect(await app.send("a", "add")).toEqual({ added: 1 });
    expect(await off.send("a", "add")).toEqual({ added: 2 });
    expect(await app.disconnect("b")).toEqual(OK);
    expect(await off.disconnect("c")).toEqual(OK);
    for (const late of [app, off]) {
      expect(await late.connect("b")).toEqual({ status: 410, code: "CONNECTION_CLOSED" });
      expect(await late.connect("c")).toEqual({ status: 410, code: "CONNECTION_CLOSED" });
    }
    await expectRowsOf("a");
  });
});

describe("a function that is killed", () => {
  /** Resolves after the function was killed at its request. */
  async function die(
    doom: Pick<CrashOptions, "event" | "operation" | "moment" | "maxConnections">,
  ): Promise<void> {
    const whole: CrashOptions = {
      endpoint: inject("dynamoDBEndpoint"),
      tableName: table.tableName,
      now: table.now(),
      ...doom,
    };
    const child = fork(join(import.meta.dirname, "crashing-function.ts"), [JSON.stringify(whole)], {
      execArgv: ["--conditions=@lift-ws/source"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [said] = await Promise.race([once(child, "message"), once(child, "exit")]);
    expect(said).toBe("there");
    child.kill("SIGKILL");
    expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);
  }

  const moments = ["before", "after"] as const;

  it.each(moments)("%s saving the row leaves none, or one that expires", async (moment) => {
    await die({ event: connect("a"), operation: "PutItem", moment });
    // The client received 502, so API Gateway sends no $disconnect.
    await expectRowsOf(...(moment === "before" ? [] : ["a"]));
    expect(await run().connect("b")).toEqual(OK);
    await expectRowsOf("b");
  });

  it.each(moments)("%s saving and counting the row does not use up the limit for ever", async (moment) => {
    const limit = { maxConnections: 1 };
    await die({ event: connect("a"), operation: "TransactWriteItems", moment, ...limit });
    expect(await table.readCount()).toBe(moment === "before" ? 0 : 1);
    await expectRowsOf(...(moment === "before" ? [] : ["a"]));
    table.advance(10 * MINUTE);
    expect(await run(limit).connect("b")).toEqual(OK);
    expect(await table.readCount()).toBe(1);
  });

  it.each(moments)("%s writing the state leaves all of it or none", async (moment) => {
    const app = run();
    await app.connect("a");
    await app.send("a", "move", { room: "r1" });
    const event = messageEvent("move", { room: "r2" }, { connectionId: "a" });
    await die({ event, operation: "UpdateItem", moment });
    expect((await witness.get("a"))?.state).toEqual({ room: moment === "before" ? "r1" : "r2" });
    expect(await app.send("a", "move", { room: "r3" })).toBe("moving");
    expect((await witness.get("a"))?.state).toEqual({ room: "r3" });
    await expectRowsOf("a");
  });

  it("in $disconnect leaves the row until it expires or a send finds it gone", async () => {
    const app = run();
    for (const id of ["a", "b"]) await app.connect(id);
    const event = (connectionId: string) => disconnectEvent({ connectionId });
    await die({ event: event("a"), operation: "PutItem", moment: "before" });
    await die({ event: event("b"), operation: "PutItem", moment: "after" });
    expect(await app.disconnect("b")).toEqual(OK);
    await expectRowsOf("a");
  });
});

describe("200 connections that drop at once", () => {
  it("leave no row, even when their $connect is still running", async () => {
    const connectionStore = table.store({ now: Date.now, maxConnections: 1_000 });
    const [begun, reports] = [new Queue<string>(), new Queue<EventReport>()];
    let held: Promise<void> = Promise.resolve();
    const app = createApp({ connectionStore, logger: jsonLogger({ level: "debug", write: () => {} }) });
    app.use(async (ctx, next) => {
      if (ctx.route === "$connect") begun.push(ctx.connectionId);
      await held;
      return next();
    });
    const gateway = createGateway({
      handler: (event, context) => handler(event, context),
      limits: { integrationTimeoutMs: Number.POSITIVE_INFINITY },
      onEvent: (report) => reports.push(report),
    });
    const handler = app.webSocketHandler({ connections: gateway });
    await gateway.listen({ port: 0 });
    onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));

    const open = await Promise.all(Array.from({ length: 150 }, () => connectSocket(gateway)));
    expect(await connectionStore.count()).toBe(150);
    const { opened, open: release } = gate();
    held = opened;
    const opening = Array.from({ length: 50 }, () => dial(gateway));
    await begun.take(200);
    for (const { socket } of [...open, ...opening]) socket.terminate();
    release();

    const ended = (await reports.take(400)).filter(({ routeKey }) => routeKey === "$disconnect");
    expect(new Set(ended.map(({ connectionId }) => connectionId)).size).toBe(200);
    expect(await connectionStore.count()).toBe(0);
    expect(await table.readCount()).toBe(0);
    await expectRowsOf();
  });
});

describe("an issuer whose keys", () => {
  const jwt = {
    algorithms: ["EdDSA"],
    issuer: "me",
    audience: "chat",
    jwksUri: "https://issuer.example/keys",
  };

  async function token(): Promise<string> {
    const { privateKey } = generateKeyPairSync("ed25519");
    const claims = new SignJWT({ iss: "me", aud: "chat", sub: "ada" }).setExpirationTime("1h");
    return claims.setProtectedHeader({ alg: "EdDSA", kid: "k1" }).sign(privateKey);
  }

  it("never arrive refuses connects, logs it, and keeps open connections working", async () => {
    const issuer = createServer().listen(0, "127.0.0.1");
    await once(issuer, "listening");
    const asked = Promise.withResolvers<void>();
    onTestFinished(() => void issuer.close());
    const address = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`;
    const fetched: typeof fetch = (_https, init) => {
      asked.resolve();
      return fetch(address, init);
    };
    const app = run({}, {}, (made) =>
      made.use(webSocketAuth({ jwt: { ...jwt, jwks: { fetch: fetched, timeoutMs: 300 } }, now: table.now })),
    );
    await run().connect("open");
    const refused = app.connect("a", { token: await token() });
    await asked.promise;
    expect(await app.send("open", "who")).toEqual({ userId: "ada", tenantId: TENANT });
    expect(await refused).toEqual({ status: 503, code: "UNAVAILABLE" });
    await expectRowsOf("open");
  });
});

describe("a token, on a function whose clock is two minutes off,", () => {
  const secret = new TextEncoder().encode("a secret of thirty-two bytes, or more");

  it.each([
    ["that runs late", -2, 401],
    ["that runs late, within the tolerance", -2, 200, 180],
    ["that runs early", 2, 401],
    ["that runs early, within the tolerance", 2, 200, 180],
  ])("%s", async (_what, minutes, status, clockToleranceSeconds = 5) => {
    const now = () => table.now() + minutes * MINUTE;
    const jwt = { algorithms: ["HS256"], secret, issuer: "me", audience: "chat", clockToleranceSeconds };
    const app = run({ now }, {}, (made) => made.use(webSocketAuth({ jwt, now })));
    const seconds = Math.floor(table.now() / 1_000);
    const token = await new SignJWT({ iss: "me", aud: "chat", sub: "ada" })
      .setProtectedHeader({ alg: "HS256" })
      .setNotBefore(seconds)
      .setExpirationTime(seconds + 60)
      .sign(secret);
    expect(await app.connect("a", { token })).toEqual({
      status,
      code: status === 401 ? "UNAUTHORIZED" : undefined,
    });
    await expectRowsOf(...(status === 200 ? ["a"] : []));
  });
});
