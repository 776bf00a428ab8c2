import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConnectionTable,
  DEFAULT_TIMEOUT,
  localClient,
  MINUTE,
} from "../../../test/dynamodb/connection-table.ts";
import {
  type Fault,
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
  TRANSACTION_CONFLICT,
  throttleFor,
} from "../../../test/dynamodb/request-faults.ts";
import type { Json } from "../contracts/json.ts";
import type { DynamoDBConnectionStoreOptions } from "./index.ts";

const LIMITS = [{}, { maxConnections: 100 }];

let table: ConnectionTable;

beforeEach(async () => {
  table = await ConnectionTable.create();
});

/** Creates a store with the faults that `choose` selects. */
function failing(
  choose: Parameters<typeof injectFaults>[1],
  options: Partial<DynamoDBConnectionStoreOptions> = {},
) {
  const client = localClient();
  injectFaults(client, choose);
  return table.store({ client, ...options });
}

describe.each(LIMITS)("DynamoDB store with the limit %o", (limit) => {
  it.each<[string, Fault]>([
    ["is throttled", THROTTLED],
    ["fails", INTERNAL_ERROR],
    ["succeeds but loses its response", RESPONSE_LOST],
  ])("makes each change once when every call %s the first time", async (_what, fault) => {
    const store = failing(failFirstAttempts(fault), limit);
    const row = table.createRow("a", { userId: "u", tenantId: "t", state: { count: 0 } });
    expect(await store.save(row)).toBe(true);
    expect(await store.save(table.createRow("b", { tenantId: "t" }))).toBe(true);
    const add = (current: Json | undefined) => Number(current) + 1;
    const updates = Array.from({ length: 5 }, () => store.updateState("a", "count", add));
    expect(new Set(await Promise.all(updates))).toEqual(new Set([1, 2, 3, 4, 5]));
    expect(await store.setState("a", { room: "r" })).toBe(true);
    expect(await store.get("a")).toEqual({ ...row, state: { count: 5, room: "r" } });
    expect(await table.ids(store.listByTenant("t"))).toEqual(["a", "b"]);
    await store.delete("a");
    expect(await store.save(row)).toBe(false);
    expect(await store.count()).toBe(1);
    expect(await table.readCount()).toBe(limit.maxConnections === undefined ? 0 : 1);
  });

  it("survives 5 seconds of throttling", async () => {
    const store = failing(throttleFor(5_000, 1_000), { ...limit, ...DEFAULT_TIMEOUT });
    await expect(store.save(table.createRow("a"))).resolves.toBe(true);
    expect(performance.now()).toBeGreaterThanOrEqual(5_000);
    expect((await store.get("a"))?.id).toBe("a");
  });

  it("throws STORE_UNAVAILABLE and writes nothing if throttling lasts past the deadline", async () => {
    const store = failing(throttleFor(Number.POSITIVE_INFINITY, 2_500), { ...limit, ...DEFAULT_TIMEOUT });
    const unavailable = {
      code: "STORE_UNAVAILABLE",
      cause: { name: "ProvisionedThroughputExceededException" },
    };
    await expect(store.save(table.createRow("a"))).rejects.toMatchObject(unavailable);
    expect(await table.readItems()).toEqual([]);
    await table.store(limit).save(table.createRow("b", { tenantId: "t" }));
    await expect(store.delete("b")).rejects.toMatchObject(unavailable);
    await expect(store.updateState("b", "n", () => 1)).rejects.toMatchObject(unavailable);
    await expect(store.count()).rejects.toMatchObject(unavailable);
    await expect(table.ids(store.listByTenant("t"))).rejects.toMatchObject(unavailable);
    expect(await table.store().get("b")).toEqual(table.createRow("b", { tenantId: "t" }));
  });

  it("rejects a save after the delete by a clock two minutes off, either way", async () => {
    for (const [id, minutes] of [
      ["fast", 2],
      ["slow", -2],
    ] as const) {
      const off = table.store({ ...limit, now: () => table.now() + minutes * MINUTE });
      expect(await off.save(table.createRow(id))).toBe(true);
      expect((await table.store(limit).get(id))?.id).toBe(id);
      await off.delete(id);
      expect(await table.store(limit).save(table.createRow(id))).toBe(false);
      table.advance(14 * MINUTE);
      expect(await off.save(table.createRow(id))).toBe(false);
    }
    expect(await table.readCount()).toBe(0);
  });

  it("leaves no row after deleting 200 connections at once, each twice, some before their save", async () => {
    const store = table.store(limit.maxConnections === undefined ? {} : { maxConnections: 1_000 });
    const ids = Array.from({ length: 200 }, (_, n) => `id-${n}`);
    await Promise.all(
      ids.slice(50).map((id) => store.save(table.createRow(id, { userId: "u", tenantId: "t" }))),
    );
    const late = ids.slice(0, 50).map((id) => store.save(table.createRow(id, { tenantId: "t" })));
    await Promise.all([...late, ...ids.map((id) => store.delete(id)), ...ids.map((id) => store.delete(id))]);
    expect(await store.count()).toBe(0);
    expect(await table.ids(store.listByTenant("t"))).toEqual([]);
    expect(await table.readCount()).toBe(0);
  });
});

describe("DynamoDB store", () => {
  it("retries a transaction after a conflict", async () => {
    let conflicts = 3;
    const store = failing(
      ({ operation }) =>
        operation === "TransactWriteItems" && conflicts-- > 0 ? TRANSACTION_CONFLICT : undefined,
      { maxConnections: 10 },
    );
    expect(await store.save(table.createRow("a"))).toBe(true);
    expect(conflicts).toBeLessThan(0);
    expect(await table.readCount()).toBe(1);
  });

  it("rejects before its caller's deadline, on every call that an event makes", async () => {
    const store = failing(() => THROTTLED);
    const budget = { getRemainingTimeInMillis: () => 500 };
    const calls = [
      store.save(table.createRow("a"), budget),
      store.get("a", budget),
      store.delete("a", budget),
      store.setState("a", { n: 1 }, budget),
      store.setState("a", {}, budget),
      store.updateState("a", "n", () => 1, budget),
    ];
    const outcomes = await Promise.allSettled(calls);
    const unavailable = { status: "rejected", reason: { code: "STORE_UNAVAILABLE" } };
    expect(outcomes).toMatchObject(calls.map(() => unavailable));
  });

  it("does not retry permanent errors", async () => {
    let calls = 0;
    const store = failing(
      () => {
        calls++;
        return undefined;
      },
      { tableName: "missing" },
    );
    const refused = { code: "STORE_REFUSED", cause: { name: "ResourceNotFoundException" } };
    await expect(store.get("a")).rejects.toMatchObject(refused);
    expect(calls).toBe(1);
    const tooLarge = table.createRow("a", { metadata: { text: "x".repeat(410_000) } });
    await expect(table.store().save(tooLarge)).rejects.toMatchObject({ code: "STORE_REFUSED" });
  });

  it("stops updating a state key that keeps changing", async () => {
    const other = table.store();
    await other.save(table.createRow("a", { state: { n: 0 } }));
    let n = 0;
    let writing: Promise<unknown> | undefined;
    const client = localClient();
    const racing = table.store({ client, timeoutMs: 400 });
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName === "UpdateItemCommand") {
          writing = other.setState("a", { n: ++n });
          await writing;
        }
        return next(args);
      },
      { step: "initialize" },
    );
    const update = racing.updateState("a", "n", () => "mine");
    await expect(update).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    // The deadline may have passed during another write.
    await writing;
    expect((await other.get("a"))?.state).toEqual({ n });
  });
});

describe("DynamoDB store without a reachable DynamoDB", () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  function unreachable(endpoint: string) {
    const credentials = { accessKeyId: "local", secretAccessKey: "local" };
    const client = new DynamoDBClient({ endpoint, region: "us-east-1", credentials });
    closing.push(() => client.destroy());
    return table.store({ client, timeoutMs: 300 });
  }

  it("stops waiting for a response that never arrives", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    closing.push(() => server.close());
    await once(server, "listening");
    const store = unreachable(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await expect(store.get("a")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("throws STORE_UNAVAILABLE if the connection is refused", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const store = unreachable(`http://127.0.0.1:${port}`);
    await expect(store.get("a")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});
