import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  paginateScan,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { Lift } from "lift-ws";
import type { WebSocketEvent } from "lift-ws/apigw";
import {
  dualWriteStore,
  mappedConnectionStore,
  reconcile,
  STREAMER_CONNECTIONS,
  split,
  type TableMapping,
} from "lift-ws/rollout";
import type { Connection, ConnectionStore, Json } from "lift-ws/store";
import { createTestWebSocketEvent, lambdaContext } from "lift-ws/testing";
import { connectionStoreCases } from "lift-ws/testing/stores";
import { describe, expect, it } from "vitest";
import { CALL_TIMEOUT_MS, ConnectionTable, localClient, MINUTE, noSdkTarget } from "./connection-table.ts";

const HOUR = 60 * MINUTE;

const client = localClient();

const hashIndex = (IndexName: string, AttributeName: string) => ({
  IndexName,
  KeySchema: [{ AttributeName, KeyType: "HASH" as const }],
  Projection: { ProjectionType: "ALL" as const },
});

const attributes = (...names: readonly string[]) =>
  names.map((AttributeName) => ({ AttributeName, AttributeType: "S" as const }));

/** The definition in the original's guide. */
const ORIGINAL: Omit<CreateTableCommandInput, "TableName"> = {
  AttributeDefinitions: attributes("ConnectionID", "UserID", "TenantID"),
  KeySchema: [{ AttributeName: "ConnectionID", KeyType: "HASH" }],
  GlobalSecondaryIndexes: [hashIndex("UserIndex", "UserID"), hashIndex("TenantIndex", "TenantID")],
  BillingMode: "PAY_PER_REQUEST",
};

/** A table of somebody's own, with a composite key, dates in seconds and an index by tenant only. */
const OWN: Omit<CreateTableCommandInput, "TableName"> = {
  AttributeDefinitions: attributes("pk", "sk", "team"),
  KeySchema: [
    { AttributeName: "pk", KeyType: "HASH" },
    { AttributeName: "sk", KeyType: "RANGE" },
  ],
  GlobalSecondaryIndexes: [hashIndex("by-team", "team")],
  BillingMode: "PAY_PER_REQUEST",
};

const OWN_MAPPING: TableMapping = {
  key: (id) => ({ pk: { S: `CONN#${id}` }, sk: { S: "METADATA" } }),
  toItem: ({ id, userId, tenantId, endpoint, connectedAt }) => ({
    ...OWN_MAPPING.key(id),
    ...(userId ? { user: { S: userId } } : {}),
    ...(tenantId ? { team: { S: tenantId } } : {}),
    url: { S: endpoint },
    since: { N: String(Math.floor(connectedAt / 1000)) },
  }),
  fromItem: ({ pk, user, team, url, since }) => {
    const connectedAt = Number(since?.N) * 1000;
    return {
      id: pk?.S?.slice("CONN#".length) ?? "",
      ...(user?.S === undefined ? {} : { userId: user.S }),
      ...(team?.S === undefined ? {} : { tenantId: team.S }),
      metadata: {},
      state: {},
      sourceIp: "",
      endpoint: url?.S ?? "",
      connectedAt,
      expiresAt: connectedAt + 2 * HOUR,
    };
  },
  tenantIndex: { name: "by-team", partitionKey: "team" },
};

async function createTable(definition: Omit<CreateTableCommandInput, "TableName">): Promise<string> {
  const TableName = `streamer-connections-${randomUUID()}`;
  await client.send(new CreateTableCommand({ TableName, ...definition }));
  return TableName;
}

/** A mapped store in a new table, with a manual clock. */
async function underTest(definition: Omit<CreateTableCommandInput, "TableName">, mapping: TableMapping) {
  let time = Math.ceil(Date.now() / HOUR) * HOUR;
  const tableName = await createTable(definition);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  const options = { tableName, mapping, now, timeoutMs: CALL_TIMEOUT_MS, ...noSdkTarget() };
  return { tableName, now, advance, store: mappedConnectionStore(options) };
}

async function readItems(tableName: string) {
  const items = [];
  for await (const page of paginateScan({ client }, { TableName: tableName }))
    items.push(...(page.Items ?? []));
  return items;
}

async function collect(rows: AsyncIterable<Connection>): Promise<Connection[]> {
  const found: Connection[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

/** The index of a table that is not ours has the ids as they are, which DynamoDB limits to 2,048 bytes. */
const withoutLongIds: typeof it = ((title: string, body: () => Promise<void>) =>
  (title.includes("long ids") ? it.skip : it)(title, body)) as never;

connectionStoreCases({ describe, it: withoutLongIds }, "store on the original's table", () =>
  underTest(ORIGINAL, STREAMER_CONNECTIONS),
);

connectionStoreCases({ describe, it: withoutLongIds }, "store on a table described by functions", () =>
  underTest(OWN, OWN_MAPPING),
);

describe("store on the original's table", () => {
  /** An item as the original's Go code writes it, with nanoseconds and an offset. */
  const written = (now: number) => ({
    ConnectionID: { S: "go" },
    UserID: { S: "ann" },
    TenantID: { S: "acme" },
    Endpoint: { S: "abc.execute-api.us-east-1.amazonaws.com/prod" },
    ConnectedAt: { S: new Date(now).toISOString().replace("Z", "456789Z") },
    LastPing: { S: new Date(now + 2 * HOUR).toISOString().replace("Z", "+02:00") },
    Metadata: {
      M: { user_agent: { S: "agent/1.0" }, ip_address: { S: "192.0.2.1" }, permissions: { S: '["read"]' } },
    },
    TTL: { N: String(now / 1000 + 24 * 3600) },
  });

  it("reads rows of the original's code, by id, user and tenant", async () => {
    const { store, tableName, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    await client.send(new PutItemCommand({ TableName: tableName, Item: written(now()) }));
    const row = {
      id: "go",
      userId: "ann",
      tenantId: "acme",
      metadata: { permissions: '["read"]', legacyClient: true },
      state: {},
      sourceIp: "192.0.2.1",
      userAgent: "agent/1.0",
      endpoint: "https://abc.execute-api.us-east-1.amazonaws.com/prod",
      connectedAt: now(),
      expiresAt: now() + 130 * MINUTE,
    };
    expect(await store.get("go")).toEqual(row);
    expect(await collect(store.listByUser("ann"))).toEqual([row]);
    expect(await collect(store.listByTenant("acme"))).toEqual([row]);
    await store.setState("go", { room: "r" });
    expect(await store.get("go")).toEqual({ ...row, state: { room: "r" } });
  });

  it("writes rows that the original's code reads", async () => {
    const { store, tableName, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    await store.save({
      id: "a",
      userId: "ann",
      tenantId: "acme",
      metadata: { permissions: ["read"], plan: "free" },
      state: { room: "r" },
      sourceIp: "192.0.2.1",
      userAgent: "agent/1.0",
      endpoint: "https://api.example.com/prod",
      connectedAt: now(),
      expiresAt: now() + HOUR,
    });
    const date = { S: new Date(now()).toISOString() };
    expect(await readItems(tableName)).toEqual([
      {
        ConnectionID: { S: "a" },
        UserID: { S: "ann" },
        TenantID: { S: "acme" },
        Endpoint: { S: "api.example.com/prod" },
        ConnectedAt: date,
        LastPing: date,
        Metadata: {
          M: {
            permissions: { S: '["read"]' },
            plan: { S: "free" },
            user_agent: { S: "agent/1.0" },
            ip_address: { S: "192.0.2.1" },
          },
        },
        TTL: { N: String(now() / 1000 + 3600) },
        LiftFields: { S: '{"metadata":{"permissions":["read"],"plan":"free"}}' },
        LiftState: { S: '{"writes":[],"state":{"room":"r"}}' },
      },
    ]);
  });

  it.each(["ConnectedAt", "Endpoint", "TTL"])(
    "names the row and the attribute when %s is malformed",
    async (name) => {
      const { store, tableName, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
      const item = { ...written(now()), [name]: { BOOL: true } };
      await client.send(new PutItemCommand({ TableName: tableName, Item: item }));
      await expect(store.get("go")).rejects.toMatchObject({
        code: "BAD_ROW",
        message: expect.stringContaining(`Row "go": \`${name}\``),
      });
    },
  );

  it("rejects with STORE_REFUSED when the table is missing", async () => {
    const store = mappedConnectionStore({
      tableName: "none",
      mapping: STREAMER_CONNECTIONS,
      ...noSdkTarget(),
    });
    await expect(store.get("a")).rejects.toMatchObject({ code: "STORE_REFUSED" });
  });

  it("lists more rows than one batch reads", async () => {
    const { store, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    const ids = Array.from({ length: 130 }, (_, n) => `id-${100 + n}`);
    const table = { sourceIp: "", endpoint: "https://e", metadata: {}, state: {}, tenantId: "t" };
    const times = { connectedAt: now(), expiresAt: now() + HOUR };
    await Promise.all(ids.map((id) => store.save({ id, ...table, ...times })));
    const listed = await collect(store.listByTenant("t"));
    expect(listed.map(({ id }) => id).sort()).toEqual(ids);
    expect(await store.count()).toBe(130);
  });
});

describe("old and new handlers on the original's table", () => {
  type Result = { readonly statusCode: number; readonly body?: string };

  /** Handlers by hand, on the table as the original has it. The message's answer names its sender. */
  function oldHandler(TableName: string) {
    return async (event: WebSocketEvent): Promise<Result> => {
      const { connectionId, routeKey, connectedAt, domainName, stage } = event.requestContext;
      const Key = { ConnectionID: { S: connectionId } };
      if (routeKey === "$connect") {
        const date = { S: new Date(connectedAt).toISOString() };
        const Item = {
          ...Key,
          UserID: { S: "ann" },
          TenantID: { S: "acme" },
          Endpoint: { S: `${domainName}/${stage}` },
          ConnectedAt: date,
          LastPing: date,
          TTL: { N: String(Math.floor(connectedAt / 1000) + 24 * 3600) },
        };
        await client.send(new PutItemCommand({ TableName, Item }));
        return { statusCode: 200 };
      }
      const { Item } = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
      if (routeKey === "$disconnect") await client.send(new DeleteItemCommand({ TableName, Key }));
      return { statusCode: 200, body: JSON.stringify(`${Item?.UserID?.S} of ${Item?.TenantID?.S}`) };
    };
  }

  function newHandler(connectionStore: ConnectionStore, sawAtEnd: (who: string) => void) {
    const app = new Lift({ connectionStore });
    app.webSocket("$connect", (ctx) => {
      ctx.setUserId("ann");
      ctx.setTenantId("acme");
    });
    app.webSocket("who", (ctx) => ctx.status(200).json(`${ctx.userId} of ${ctx.tenantId}`));
    app.webSocket("$disconnect", (ctx) => sawAtEnd(`${ctx.userId} of ${ctx.tenantId}`));
    return app.webSocketHandler();
  }

  const sides = ["old", "new"] as const;
  const mixes = sides.flatMap((connect) =>
    sides.flatMap((who) => sides.map((disconnect) => ({ $connect: connect, who, $disconnect: disconnect }))),
  );

  it.each(mixes)("serve one connection with the routes %j", async (routes) => {
    const { store, tableName, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    let atEnd: string | undefined;
    const fresh = newHandler(store, (who) => {
      atEnd = who;
    });
    const handler = split(oldHandler(tableName), fresh, routes);
    const call = async (route: string) => {
      const event = createTestWebSocketEvent(route, "a", "{}");
      Object.assign(event.requestContext, { connectedAt: now() });
      return (await handler(event, lambdaContext())) as Result;
    };
    expect(await call("$connect")).toMatchObject({ statusCode: 200 });
    expect(JSON.parse((await call("who")).body ?? "")).toBe("ann of acme");
    const end = await call("$disconnect");
    expect(atEnd ?? JSON.parse(end.body ?? "")).toBe("ann of acme");
    expect(await store.get("a")).toBeUndefined();
    expect(await collect(store.listByTenant("acme"))).toEqual([]);
  });
});

it("carries out an update once when its answer is lost and another write follows", async () => {
  const { store, tableName, now } = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
  const times = { connectedAt: now(), expiresAt: now() + HOUR };
  await store.save({ id: "a", sourceIp: "", endpoint: "https://e", metadata: {}, state: {}, ...times });
  let updates = 0;
  const proxy = createServer(async (request, response) => {
    const body = await text(request);
    const isUpdate = request.headers["x-amz-target"]?.toString().endsWith("UpdateItem") === true;
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(
        ([name]) => !["host", "connection", "content-length"].includes(name),
      ),
    ) as Record<string, string>;
    const answer = await fetch(noSdkTarget().endpoint, { method: "POST", headers, body });
    const content = await answer.text();
    if (isUpdate && ++updates === 1) {
      await store.setState("a", { other: true });
      response.writeHead(500).end("{}");
    } else response.writeHead(answer.status, { "content-type": "application/json" }).end(content);
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  try {
    const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const options = {
      tableName,
      mapping: STREAMER_CONNECTIONS,
      now,
      timeoutMs: CALL_TIMEOUT_MS,
      ...noSdkTarget(),
      endpoint,
    };
    const increment = (count: Json | undefined) => Number(count ?? 0) + 1;
    expect(await mappedConnectionStore(options).updateState("a", "count", increment)).toBe(1);
    expect(updates).toBe(2);
    expect((await store.get("a"))?.state).toEqual({ count: 1, other: true });
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

describe("dual-write between the original's table and Lift's", () => {
  it("moves rows over and back, and finds no difference", async () => {
    const old = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    const lift = await ConnectionTable.create();
    const newStore = lift.store({ now: old.now });
    const row = lift.createRow("before", { tenantId: "acme", metadata: { n: 1 }, connectedAt: old.now() });
    await old.store.save(row);
    const store = dualWriteStore(old.store, newStore, { now: old.now, timeoutMs: CALL_TIMEOUT_MS });
    const during = { ...row, id: "during", userId: "ann", state: { room: "r" } };
    await store.save(during);
    await store.updateState("during", "count", () => 1);
    await store.save({ ...row, id: "gone" });
    await store.delete("gone", undefined, { keep: true });
    await store.settled();
    expect(store.differences()).toEqual([]);
    const backfill = await reconcile(old.store, newStore, { now: old.now, timeoutMs: CALL_TIMEOUT_MS });
    expect(backfill).toMatchObject({ checked: 2, repaired: 1, remaining: 0 });

    await store.swapRoles();
    expect(await collect(store.listByTenant("acme"))).toEqual(
      expect.arrayContaining([row, expect.objectContaining({ id: "during" })]),
    );
    expect(await store.get("gone", undefined, { removed: true })).toMatchObject({ id: "gone" });
    await store.setState("before", { seat: 7 });
    await store.swapRoles();
    expect((await store.get("before"))?.state).toEqual({ seat: 7 });
    expect(await store.get("during")).toEqual({ ...during, state: { room: "r", count: 1 } });
    await store.settled();
    expect(store.report()).toMatchObject({ different: 0, failed: 0 });
  });

  it("finds a row that the original's code has changed", async () => {
    const old = await underTest(ORIGINAL, STREAMER_CONNECTIONS);
    const newStore = (await ConnectionTable.create()).store({ now: old.now });
    const store = dualWriteStore(old.store, newStore, { now: old.now, timeoutMs: CALL_TIMEOUT_MS });
    const times = { connectedAt: old.now(), expiresAt: old.now() + HOUR };
    await store.save({
      id: "a",
      userId: "ann",
      sourceIp: "",
      endpoint: "https://e",
      metadata: {},
      state: {},
      ...times,
    });
    await client.send(
      new UpdateItemCommand({
        TableName: old.tableName,
        Key: { ConnectionID: { S: "a" } },
        UpdateExpression: "SET UserID = :user",
        ExpressionAttributeValues: { ":user": { S: "eve" } },
      }),
    );
    await store.setState("a", { n: 1 });
    await store.settled();
    expect(store.differences()).toMatchObject([{ id: "a", fields: ["userId"] }]);
  });
});

it.each([
  [{ tableName: "t" }, "`mapping` is required"],
  [{ tableName: "t", mapping: {} }, "`mapping` must be an object with key(), toItem(), fromItem()"],
  [{ tableName: "", mapping: STREAMER_CONNECTIONS }, "`tableName`"],
  [{ tableName: "t", mapping: { ...STREAMER_CONNECTIONS, userIndex: { name: "" } } }, "`name` must be"],
])("rejects the options %j", (options, message) => {
  expect(() => mappedConnectionStore(options as never)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
  );
});
