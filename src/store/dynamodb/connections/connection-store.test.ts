import { randomUUID } from "node:crypto";
import {
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  PutItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import {
  ConnectionTable,
  localClient,
  MINUTE,
  TRANSPORTS,
  type TransportName,
} from "../../../../test/dynamodb/connection-table.ts";
import { connectionStoreCases } from "../../contracts/cases.ts";
import type { ConnectionStore } from "../../contracts/connections.ts";
import { createTables, dynamoDBConnectionStore } from "../index.ts";

async function underTest(transport: TransportName, options: { maxConnections?: number } = {}) {
  const table = await ConnectionTable.create(transport);
  return { store: table.store(options), now: table.now, advance: table.advance };
}

for (const transport of TRANSPORTS) {
  connectionStoreCases({ describe, it }, `DynamoDB store by ${transport}`, () => underTest(transport));
  connectionStoreCases({ describe, it }, `DynamoDB store by ${transport} with a limit`, () =>
    underTest(transport, { maxConnections: 100 }),
  );
}

describe.each(TRANSPORTS)("DynamoDB store by %s", (transport) => {
  let table: ConnectionTable;
  let store: ConnectionStore;

  beforeEach(async () => {
    table = await ConnectionTable.create(transport);
    store = table.store();
  });

  it("lists more than one page of the index and one batch of rows", async () => {
    const ids = Array.from({ length: 450 }, (_, n) => `id-${String(n).padStart(4, "0")}`);
    const large = { metadata: { text: "x".repeat(40_000) } };
    // At most as many as a client has sockets; further calls would wait for one and time out.
    for (let from = 0; from < ids.length; from += 50) {
      const some = ids.slice(from, from + 50);
      await Promise.all(
        some.map((id) =>
          store.save(table.createRow(id, { tenantId: "t", ...(id < "id-0120" ? large : {}) })),
        ),
      );
    }
    expect(await table.ids(store.listByTenant("t"))).toEqual(ids);
    expect(await store.count()).toBe(450);
  });

  it("treats an empty user or tenant as none", async () => {
    await store.save(table.createRow("a", { userId: "", tenantId: "" }));
    expect(await store.get("a")).toEqual(table.createRow("a"));
  });

  it("preserves values and keys that DynamoDB's own types would change", async () => {
    const state = {
      numbers: [1e300, 5e-324, 0.1, Number.MAX_SAFE_INTEGER],
      names: { "": 1 },
      deep: Array.from({ length: 60 }).reduce<readonly [] | readonly unknown[]>(
        (inner) => [inner],
        [],
      ) as never,
      "": "empty",
      '"quoted"': "quoted",
      "\ud800": "\ud800",
    };
    await store.save(table.createRow("a", { state }));
    await store.setState("a", { '"': 1, "\udfff": 2 });
    expect((await store.get("a"))?.state).toEqual({ ...state, '"': 1, "\udfff": 2 });
  });

  it("writes more keys than one expression holds", async () => {
    const entries = Object.fromEntries(Array.from({ length: 250 }, (_, n) => [`key-${n}`, n]));
    await store.save(table.createRow("a"));
    expect(await store.setState("a", entries)).toBe(true);
    expect((await store.get("a"))?.state).toEqual(entries);
  });

  it("returns whether the row exists when no key is written", async () => {
    await store.save(table.createRow("a"));
    expect(await store.setState("a", {})).toBe(true);
    expect(await store.setState("nobody", {})).toBe(false);
  });

  it("sets a row's TTL to its expiry, or to `ttlHours` after its connect", async () => {
    const later = table.store({ ttlHours: 24 });
    const sooner = table.store({ ttlHours: 0.5 });
    await store.save(table.createRow("default"));
    await later.save(table.createRow("later"));
    await sooner.save(table.createRow("sooner"));
    const removal = new Map(
      (await table.readItems()).map((item) => [item.ConnectionID?.S, Number(item.ExpiresAt?.N)]),
    );
    const connectedAt = table.now() / 1000;
    expect(removal.get("default")).toBe(connectedAt + 130 * 60);
    expect(removal.get("later")).toBe(connectedAt + 24 * 3600);
    expect(removal.get("sooner")).toBe(connectedAt + 130 * 60);
    table.advance(130 * MINUTE);
    expect(await later.get("later")).toBeUndefined();
  });

  it("replaces a deleted row with a tombstone that has a TTL", async () => {
    await store.save(table.createRow("a", { userId: "u", tenantId: "t", state: { secret: 1 } }));
    await store.delete("a");
    const until = table.now() + 20 * MINUTE;
    expect(await table.readItems()).toEqual([
      {
        ConnectionID: { S: "a" },
        Kind: { S: "tombstone" },
        LiveUntil: { N: String(until) },
        ExpiresAt: { N: String(until / 1000) },
      },
    ]);
    table.advance(20 * MINUTE);
    expect(await store.save(table.createRow("a"))).toBe(true);
  });

  it.each([
    ["Endpoint", { Endpoint: undefined }],
    ["Metadata", { Metadata: { S: "{" } }],
    ["Metadata", { Metadata: { S: "[]" } }],
    ["State", { State: { S: "{}" } }],
    ["State.room", { State: { M: { room: { N: "1" } } } }],
    ["LiveUntil", { LiveUntil: { S: "soon" } }],
    ["UserID", { UserID: { S: "u" }, TenantID: { S: "t" }, UserAgent: { N: "1" } }],
  ])("names the row and the attribute when %s is malformed", async (attribute, damage) => {
    await store.save(table.createRow("good", { tenantId: "t" }));
    const [good] = await table.readItems();
    const bad = { ...good, ConnectionID: { S: "bad" }, ...damage };
    const item = Object.fromEntries(Object.entries(bad).filter(([, value]) => value !== undefined));
    await localClient().send(new PutItemCommand({ TableName: table.tableName, Item: item as never }));
    const named = attribute === "UserID" ? "UserAgent" : attribute;
    const error = {
      code: "BAD_ROW",
      message: `Row "bad": \`${named}\` is missing or malformed; delete or repair the row`,
    };
    await expect(store.get("bad")).rejects.toMatchObject(error);
    await expect(table.ids(store.listByTenant("t"))).rejects.toMatchObject(error);
    await store.delete("bad");
    expect(await table.ids(store.listByTenant("t"))).toEqual(["good"]);
  });

  it("does not reveal a malformed row's values", async () => {
    await store.save(table.createRow("a"));
    const token = "secret-token";
    await localClient().send(
      new UpdateItemCommand({
        TableName: table.tableName,
        Key: { ConnectionID: { S: "a" } },
        UpdateExpression: "SET Metadata = :bad",
        ExpressionAttributeValues: { ":bad": { S: token } },
      }),
    );
    const error = await store.get("a").catch((thrown: Error) => thrown);
    expect(JSON.stringify([(error as Error).message, error])).not.toContain(token);
  });
});

describe("createTables", () => {
  it("creates keys, indexes and TTL of the schema, and leaves an existing table unchanged", async () => {
    const client = localClient();
    const tableName = `connections-${randomUUID()}`;
    for (let round = 0; round < 2; round++) await createTables({ client, tableName });
    const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName }));
    expect(Table?.KeySchema).toEqual([{ AttributeName: "ConnectionID", KeyType: "HASH" }]);
    const indexes = Table?.GlobalSecondaryIndexes?.map(({ IndexName, KeySchema }) => [
      IndexName,
      ...(KeySchema ?? []).map((key) => key.AttributeName),
    ]);
    expect(indexes?.sort()).toEqual([
      ["TenantIndex", "TenantID", "ConnectionID"],
      ["UserIndex", "UserID", "ConnectionID"],
    ]);
    const ttl = await client.send(new DescribeTimeToLiveCommand({ TableName: tableName }));
    expect(ttl.TimeToLiveDescription).toEqual({ AttributeName: "ExpiresAt", TimeToLiveStatus: "ENABLED" });
  });
});

describe("dynamoDBConnectionStore", () => {
  it.each([
    ["no table", {}, /`tableName` is required/],
    ["an empty table name", { tableName: "" }, /tableName/],
    ["an unknown option", { tableName: "t", ttlHour: 1 }, /Unknown option `ttlHour`/],
    ["a lifetime of nothing", { tableName: "t", ttlHours: 0 }, /ttlHours/],
    ["a limit of nothing", { tableName: "t", maxConnections: 0 }, /maxConnections/],
    ["a fractional limit", { tableName: "t", maxConnections: 1.5 }, /maxConnections/],
    ["no client", { tableName: "t", client: {} }, /client/],
    ["no time", { tableName: "t", timeoutMs: 0 }, /timeoutMs/],
  ])("rejects options with %s", (_what, options, message) => {
    expect(() => dynamoDBConnectionStore(options as never)).toThrow(message);
  });
});
