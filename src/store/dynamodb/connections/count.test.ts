import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import {
  ConnectionTable,
  localClient,
  MINUTE,
  TRANSPORTS,
} from "../../../../test/dynamodb/connection-table.ts";
import type { ConnectionStore } from "../../contracts/connections.ts";
import { shardOf } from "../client/shards.ts";

const FULL = { code: "TOO_MANY_CONNECTIONS" };

let table: ConnectionTable;

const ids = (count: number, prefix = "id") => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);

/** Saves rows concurrently. Resolves to the codes of rejected saves. */
async function saveAll(store: ConnectionStore, names: readonly string[]): Promise<string[]> {
  const results = await Promise.allSettled(names.map((id) => store.save(table.createRow(id))));
  return results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
}

describe.each(TRANSPORTS)("maxConnections by %s", (transport) => {
  beforeEach(async () => {
    table = await ConnectionTable.create(transport);
  });

  it.each([1, 10, 70])("accepts exactly %i of many concurrent connections", async (maxConnections) => {
    const store = table.store({ maxConnections });
    const refused = await saveAll(store, ids(maxConnections + 30));
    expect(refused).toEqual(Array(30).fill("TOO_MANY_CONNECTIONS"));
    expect(await store.count()).toBe(maxConnections);
  });

  it("stores no row of a rejected connection", async () => {
    const store = table.store({ maxConnections: 1 });
    await store.save(table.createRow("a"));
    await expect(store.save(table.createRow("b"))).rejects.toMatchObject(FULL);
    expect(await store.get("b")).toBeUndefined();
    expect(await store.setState("b", { x: 1 })).toBe(false);
  });

  it("accepts another connection after one was deleted", async () => {
    const store = table.store({ maxConnections: 3 });
    await saveAll(store, ids(3));
    await store.delete("id-1");
    expect(await store.save(table.createRow("next"))).toBe(true);
    await expect(store.save(table.createRow("over"))).rejects.toMatchObject(FULL);
  });

  it("counts nothing twice, neither repeated nor concurrent saves and deletes", async () => {
    const store = table.store({ maxConnections: 10 });
    await Promise.all(Array.from({ length: 5 }, () => saveAll(store, ids(3))));
    expect(await table.readCount()).toBe(3);
    await Promise.all(Array.from({ length: 5 }, () => ids(3).map((id) => store.delete(id))).flat());
    await Promise.all(ids(3).map((id) => store.delete(id)));
    expect(await table.readCount()).toBe(0);
    await store.delete("never");
    expect(await table.readCount()).toBe(0);
  });

  it("accepts a connection that is already stored when the limit is reached", async () => {
    const store = table.store({ maxConnections: 1 });
    await store.save(table.createRow("a"));
    expect(await store.save(table.createRow("a"))).toBe(true);
    await store.delete("a");
    expect(await store.save(table.createRow("a"))).toBe(false);
  });

  it("drops expired connections that were never deleted", async () => {
    const store = table.store({ maxConnections: 20 });
    table.advance(5 * MINUTE);
    await saveAll(store, ids(20));
    table.advance(134 * MINUTE);
    // The rows have expired, but not their ten-minute span. The count does not depend on rows removed by TTL.
    expect(await store.count()).toBe(0);
    await expect(store.save(table.createRow("early"))).rejects.toMatchObject(FULL);
    table.advance(MINUTE);
    expect(await saveAll(store, ids(20, "next"))).toEqual([]);
    await expect(store.save(table.createRow("over"))).rejects.toMatchObject(FULL);
    expect(await store.count()).toBe(20);
    expect(await table.readCount()).toBe(20);
  });

  it("ignores a delete after the count has dropped the row", async () => {
    const store = table.store({ maxConnections: 1 });
    await store.save(table.createRow("old"));
    table.advance(140 * MINUTE);
    await store.save(table.createRow("new"));
    await store.delete("old");
    expect(await table.readCount()).toBe(1);
    expect(await store.save(table.createRow("old"))).toBe(false);
    await store.delete("new");
    expect(await table.readCount()).toBe(0);
  });

  it("removes expired spans from the shards", async () => {
    const store = table.store({ maxConnections: 1 });
    for (let n = 0; n < 30; n++) {
      await store.save(table.createRow(`id-${n}`));
      table.advance(140 * MINUTE);
    }
    await store.save(table.createRow("last"));
    const shard = (await table.readItems()).find((item) => item.Kind?.S === "shard");
    expect(Object.keys(shard ?? {}).filter((name) => name.startsWith("Span"))).toHaveLength(1);
  });

  it("drops more expired spans than one update holds", async () => {
    const store = table.store({ maxConnections: 1 });
    for (let n = 0; n < 130; n++) {
      await store.save(table.createRow(`id-${n}`, { expiresAt: table.now() + (n + 1) * 10 * MINUTE }));
      if (n < 129) await store.delete(`id-${n}`);
    }
    await expect(store.save(table.createRow("over"))).rejects.toMatchObject(FULL);
    table.advance(131 * 10 * MINUTE);
    expect(await store.save(table.createRow("next"))).toBe(true);
    expect(await table.readCount()).toBe(1);
  });

  it("subtracts a counted row when a store without limit deletes it", async () => {
    await table.store({ maxConnections: 1 }).save(table.createRow("a"));
    await table.store().delete("a");
    expect(await table.store({ maxConnections: 1 }).save(table.createRow("b"))).toBe(true);
  });

  it("keeps connections when the limit is lowered, and accepts new ones below it", async () => {
    await saveAll(table.store({ maxConnections: 128 }), ids(128));
    const store = table.store({ maxConnections: 64 });
    await expect(store.save(table.createRow("over"))).rejects.toMatchObject(FULL);
    await Promise.all(ids(128).map((id) => store.delete(id)));
    expect(await saveAll(store, ids(70, "next"))).toHaveLength(6);
  });
});

describe("a counted row", () => {
  /** A limit that gives each shard more than one connection. */
  const maxConnections = 640;
  /** All in one shard, so that subtracting a row twice would affect another row. */
  const neighbours = ids(2_000)
    .filter((id) => shardOf(id, 64) === 7)
    .slice(0, 3);

  /** Creates stores whose transactions wait until every store has one ready. */
  function meeting(stores: number): ConnectionStore[] {
    const ready: (() => void)[] = [];
    return Array.from({ length: stores }, () => {
      const client = localClient();
      client.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName === "TransactWriteItemsCommand" && ready.length < stores) {
            await new Promise<void>((resolve) => {
              ready.push(resolve);
              if (ready.length === stores) for (const go of ready) go();
            });
          }
          return next(args);
        },
        { step: "initialize" },
      );
      return table.store({ client, maxConnections });
    });
  }

  beforeEach(async () => {
    table = await ConnectionTable.create();
  });

  it("is subtracted once by concurrent deletes", async () => {
    await saveAll(table.store({ maxConnections }), neighbours);
    expect(await table.readCount()).toBe(3);
    await Promise.all(meeting(4).map((store) => store.delete(neighbours[0]!)));
    expect(await table.readCount()).toBe(2);
  });

  it("is not subtracted again after its tombstone expired", async () => {
    const store = table.store({ maxConnections });
    await saveAll(store, neighbours);
    await store.delete(neighbours[0]!);
    table.advance(21 * MINUTE);
    await store.delete(neighbours[0]!);
    await table.store().delete(neighbours[0]!);
    expect(await table.readCount()).toBe(2);
  });

  it("is deleted once though its shard is missing, and no count becomes negative", async () => {
    const store = table.store({ maxConnections });
    await saveAll(store, neighbours);
    const Key = { ConnectionID: { S: "#count-7" } };
    await localClient().send(new DeleteItemCommand({ TableName: table.tableName, Key }));
    await Promise.all(meeting(2).map((each) => each.delete(neighbours[0]!)));
    expect(await store.get(neighbours[0]!)).toBeUndefined();
    expect(await store.save(table.createRow(neighbours[0]!))).toBe(false);
    expect(await table.readCount()).toBe(0);
    await store.save(table.createRow("next"));
    expect(await table.readCount()).toBe(1);
  });
});

describe("the shards of the count", () => {
  it("take at most a sixteenth of the writes each", async () => {
    table = await ConnectionTable.create();
    const client = localClient();
    const writes = new Map<string, number>();
    client.middlewareStack.add(
      (next) => async (args) => {
        for (const { Update } of (
          args.input as { TransactItems?: { Update?: { Key: { ConnectionID: { S: string } } } }[] }
        ).TransactItems ?? []) {
          const key = Update?.Key.ConnectionID.S;
          if (key !== undefined) writes.set(key, (writes.get(key) ?? 0) + 1);
        }
        return next(args);
      },
      { step: "initialize" },
    );
    const store = table.store({ client, maxConnections: 1_000 });
    const all = ids(640, "L0SM9cOFvHcCIh");
    for (let from = 0; from < all.length; from += 64) await saveAll(store, all.slice(from, from + 64));
    for (let from = 0; from < all.length; from += 64) {
      await Promise.all(all.slice(from, from + 64).map((id) => store.delete(id)));
    }
    const total = [...writes.values()].reduce((sum, count) => sum + count, 0);
    expect(total).toBeGreaterThanOrEqual(1_280);
    expect(Math.max(...writes.values())).toBeLessThanOrEqual(total / 16);
    expect(await table.readCount()).toBe(0);
  });
});
