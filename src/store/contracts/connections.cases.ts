import assert from "node:assert/strict";
import type { Connection, ConnectionStore } from "./connections.ts";
import type { Json } from "./json.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** A connection store for one test. */
export interface ConnectionStoreUnderTest {
  /** The store, empty at first. */
  readonly store: ConnectionStore;
  /**
   * Moves the store's clock forward. If the backend's own clock cannot be moved, it moves the one of the `now`
   * option.
   */
  advance(ms: number): void;
  /** Returns the store's time, in ms since the epoch. */
  now(): number;
}

const MINUTE = 60_000;

/**
 * Defines a test for every guarantee of `ConnectionStore`.
 * @param create creates an empty store for each test
 * @example
 * connectionStoreCases({ describe, it }, "my connection store", createEmptyStore);
 */
export function connectionStoreCases(
  runner: TestRunner,
  title: string,
  create: () => Promise<ConnectionStoreUnderTest> | ConnectionStoreUnderTest,
): void {
  runner.describe(title, () => {
    let underTest: ConnectionStoreUnderTest;
    let store: ConnectionStore;

    const it = withSetUp(runner.it, async () => {
      underTest = await create();
      store = underTest.store;
    });

    const row = (id: string, overrides: Partial<Connection> = {}): Connection => ({
      id,
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/test",
      connectedAt: underTest.now(),
      expiresAt: underTest.now() + 130 * MINUTE,
      ...overrides,
    });

    runner.describe("save, get and delete", () => {
      it("stores every field of a row", async () => {
        const full = row("a", {
          userId: "user",
          tenantId: "tenant",
          metadata: { device: { os: "linux", cores: [1, 2.5, null, true] } },
          state: { room: "r1", list: ["x", { y: "" }] },
          userAgent: "agent/1.0",
        });
        assert.equal(await store.save(full), true);
        assert.deepEqual(await store.get("a"), full);
      });

      it("stores an anonymous connection without user and tenant", async () => {
        await store.save(row("a"));
        const found = await store.get("a");
        assert.deepEqual(found, row("a"));
        assert.ok(!Object.hasOwn(found ?? {}, "userId"));
        assert.ok(!Object.hasOwn(found ?? {}, "tenantId"));
      });

      it("returns no row for an unknown id", async () => {
        assert.equal(await store.get("nobody"), undefined);
        assert.equal(await store.get("__proto__"), undefined);
      });

      it("keeps the current state when the same connection is saved again", async () => {
        const first = row("a", { state: { room: "r1", seat: 1 } });
        await store.save(first);
        await store.setState("a", { room: "r2", seat: undefined, extra: true });
        assert.equal(await store.save(first), true);
        assert.deepEqual((await store.get("a"))?.state, { room: "r2", extra: true });
        assert.equal(await store.count(), 1);
      });

      it("removes a row from get, lists and count", async () => {
        await store.save(row("a", { userId: "u", tenantId: "t" }));
        await store.delete("a");
        assert.equal(await store.get("a"), undefined);
        assert.deepEqual(await idsOf(store.listByUser("u")), []);
        assert.deepEqual(await idsOf(store.listByTenant("t")), []);
        assert.equal(await store.count(), 0);
      });

      it("accepts a repeated delete", async () => {
        await store.save(row("a"));
        await store.save(row("b"));
        await store.delete("a");
        await store.delete("a");
        assert.equal(await store.count(), 1);
      });

      it("rejects a save after the delete", async () => {
        await store.delete("late");
        assert.equal(await store.save(row("late")), false);
        assert.equal(await store.get("late"), undefined);
        await store.save(row("a"));
        await store.delete("a");
        underTest.advance(14 * MINUTE);
        assert.equal(await store.save(row("a")), false);
      });

      it("keeps a deleted row with `keep`, returns it only with `removed`, and does not list it", async () => {
        const held = row("a", { userId: "u", tenantId: "t", state: { room: "r" } });
        await store.save(held);
        await store.delete("a", undefined, { keep: true });
        assert.equal(await store.get("a"), undefined);
        assert.deepEqual(await store.get("a", undefined, { removed: true }), held);
        for await (const found of store.listByTenant("t")) assert.equal(found, undefined);
        for await (const found of store.listByUser("u")) assert.equal(found, undefined);
        assert.equal(await store.count(), 0);
        assert.equal(await store.save(held), false);
        assert.equal(await store.setState("a", { room: "x" }), false);
        await store.delete("a");
        assert.deepEqual(await store.get("a", undefined, { removed: true }), held);
        underTest.advance(130 * MINUTE);
        assert.equal(await store.get("a", undefined, { removed: true }), undefined);
      });

      it("does not return a kept row past its expiresAt", async () => {
        await store.save(row("a", { expiresAt: underTest.now() + MINUTE }));
        await store.delete("a", undefined, { keep: true });
        underTest.advance(MINUTE - 1);
        assert.equal((await store.get("a", undefined, { removed: true }))?.id, "a");
        underTest.advance(1);
        assert.equal(await store.get("a", undefined, { removed: true }), undefined);
      });

      it("keeps nothing of a row deleted without `keep`, or of a missing row", async () => {
        await store.save(row("a"));
        await store.delete("a");
        await store.delete("a", undefined, { keep: true });
        await store.delete("nobody", undefined, { keep: true });
        assert.equal(await store.get("a", undefined, { removed: true }), undefined);
        assert.equal(await store.get("nobody", undefined, { removed: true }), undefined);
      });

      it("returns snapshots that later writes do not change", async () => {
        await store.save(row("a", { state: { list: ["x"] } }));
        const before = await store.get("a");
        await store.setState("a", { list: ["x", "y"] });
        assert.deepEqual(before?.state, { list: ["x"] });
      });

      it("copies the row, so that later changes by the caller have no effect", async () => {
        const list: Json[] = ["x"];
        await store.save(row("a", { state: { list } }));
        list.push("y");
        assert.deepEqual((await store.get("a"))?.state, { list: ["x"] });
      });

      it("returns the same from `peek`, if it exists, as from `get`", async () => {
        await store.save(row("a", { expiresAt: underTest.now() + MINUTE }));
        if (store.peek !== undefined)
          assert.deepEqual(store.peek("a", underTest.now()), await store.get("a"));
        underTest.advance(MINUTE);
        assert.equal(store.peek?.("a", underTest.now()), undefined);
      });
    });

    runner.describe("state", () => {
      it("writes keys independently", async () => {
        await store.save(row("a", { state: { kept: 1 } }));
        const writes = Array.from({ length: 20 }, (_, n) => store.setState("a", { [`key${n}`]: n }));
        assert.deepEqual(
          await Promise.all(writes),
          writes.map(() => true),
        );
        const state = (await store.get("a"))?.state;
        assert.equal(Object.keys(state ?? {}).length, 21);
        assertMatches(state, { kept: 1, key0: 0, key19: 19 });
      });

      it("removes a key that is set to undefined", async () => {
        await store.save(row("a", { state: { gone: 1, kept: 2 } }));
        assert.equal(await store.setState("a", { gone: undefined, never: undefined }), true);
        assert.deepEqual((await store.get("a"))?.state, { kept: 2 });
      });

      it("accepts any string as a key", async () => {
        const names = ["__proto__", "constructor", "a.b", "a b", "#", "ключ", "toString"];
        await store.save(row("a"));
        for (const name of names) await store.setState("a", { [name]: name });
        const state = (await store.get("a"))?.state ?? {};
        assert.deepEqual(new Map(Object.entries(state)), new Map(names.map((name) => [name, name])));
      });

      it("writes nothing if there is no row", async () => {
        assert.equal(await store.setState("nobody", { a: 1 }), false);
        await store.save(row("a"));
        await store.delete("a");
        assert.equal(await store.setState("a", { a: 1 }), false);
        assert.equal(await store.get("a"), undefined);
      });

      it("loses no concurrent update of a key", async () => {
        await store.save(row("a", { state: { count: 0, list: [] } }));
        const count = (current: Json | undefined) => Number(current) + 1;
        const append = (n: number) => (current: Json | undefined) => [...(current as Json[]), n];
        await Promise.all(
          Array.from({ length: 10 }, (_, n) => [
            store.updateState("a", "count", count),
            store.updateState("a", "list", append(n)),
            store.setState("a", { [`other${n}`]: n }),
          ]).flat(),
        );
        const state = (await store.get("a"))?.state;
        assert.equal(state?.count, 10);
        assert.deepEqual(new Set(state?.list as number[]), new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        assertMatches(state, { other0: 0, other9: 9 });
      });

      it("resolves an update to the new value, and starts from undefined", async () => {
        await store.save(row("a"));
        assert.equal(await store.updateState("a", "n", (current) => (current === undefined ? 1 : 2)), 1);
        assert.equal(await store.updateState("a", "n", (current) => (current === undefined ? 1 : 2)), 2);
      });

      it("starts an update of a key that every object inherits from undefined", async () => {
        await store.save(row("a"));
        for (const key of ["constructor", "toString", "__proto__"]) {
          assert.equal(await store.updateState("a", key, (current) => (current === undefined ? 1 : 2)), 1);
        }
      });

      it("removes a key whose update returns undefined", async () => {
        await store.save(row("a", { state: { n: 1, kept: 2 } }));
        assert.equal(await store.updateState("a", "n", () => undefined), undefined);
        assert.deepEqual((await store.get("a"))?.state, { kept: 2 });
      });

      it("updates nothing if there is no row", async () => {
        assert.equal(await store.updateState("nobody", "n", () => 1), undefined);
        assert.equal(await store.get("nobody"), undefined);
      });

      it("keeps the state when an update throws", async () => {
        await store.save(row("a", { state: { n: 1 } }));
        const broken = store.updateState("a", "n", () => {
          throw new Error("broken");
        });
        await assert.rejects(broken, { message: "broken" });
        assert.deepEqual((await store.get("a"))?.state, { n: 1 });
      });
    });

    runner.describe("lists", () => {
      it("lists a user's and a tenant's connections, and no other's", async () => {
        await store.save(row("a", { userId: "u1", tenantId: "t1" }));
        await store.save(row("b", { userId: "u1", tenantId: "t2" }));
        await store.save(row("c", { userId: "u2", tenantId: "t1" }));
        await store.save(row("d"));
        assert.deepEqual(await idsOf(store.listByUser("u1")), ["a", "b"]);
        assert.deepEqual(await idsOf(store.listByTenant("t1")), ["a", "c"]);
        assert.deepEqual(await idsOf(store.listByTenant("nobody")), []);
        assert.deepEqual(await idsOf(store.listByUser("__proto__")), []);
        assert.equal(await store.count(), 4);
      });

      it("lists whole rows", async () => {
        const full = row("a", { userId: "u", state: { room: "r" } });
        await store.save(full);
        const rows: Connection[] = [];
        for await (const found of store.listByUser("u")) rows.push(found);
        assert.deepEqual(rows, [full]);
      });

      it("lists the connections of users and tenants with long ids", async () => {
        const long = "é".repeat(1_025);
        const rows = [
          row("a", { userId: long, tenantId: `${long}t` }),
          row("b", { userId: `${long}b`, tenantId: `${long}t` }),
          row("c", { userId: "x".repeat(2_048) }),
        ];
        for (const one of rows) await store.save(one);
        assert.deepEqual(await store.get("a"), rows[0]);
        assert.deepEqual(await idsOf(store.listByUser(long)), ["a"]);
        assert.deepEqual(await idsOf(store.listByUser(`${long}b`)), ["b"]);
        assert.deepEqual(await idsOf(store.listByTenant(`${long}t`)), ["a", "b"]);
        assert.deepEqual(await idsOf(store.listByUser("x".repeat(2_048))), ["c"]);
        assert.deepEqual(await idsOf(store.listByUser("x".repeat(2_049))), []);
      });

      it("lists a connection without a tenant under no tenant", async () => {
        await store.save(row("a", { userId: "u" }));
        assert.deepEqual(await idsOf(store.listByTenant("")), []);
        assert.deepEqual(await idsOf(store.listByTenant("undefined")), []);
      });

      it("lists all connections in pages, if it can, while connections are saved and deleted", async () => {
        if (store.listPage === undefined) return;
        for (const id of ["a", "b", "c", "d", "e"]) await store.save(row(id, { state: { id } }));
        await store.save(row("old", { expiresAt: underTest.now() + MINUTE }));
        await store.delete("a");
        underTest.advance(MINUTE);
        const seen = new Map<string, Connection>();
        let after: string | undefined;
        do {
          const page = await store.listPage({ limit: 1, ...(after === undefined ? {} : { after }) });
          assert.ok(page.connections.length <= 1);
          for (const found of page.connections) {
            seen.set(found.id, found);
            if (found.id.length === 1) await store.save(row(`${found.id}-next`));
            await store.delete(found.id);
          }
          after = page.next;
        } while (after !== undefined);
        assert.deepEqual(
          ["b", "c", "d", "e"].filter((id) => seen.get(id)?.state.id !== id),
          [],
        );
        assert.ok(!seen.has("a") && !seen.has("old"));
      });

      it("lists while connections are saved and deleted", async () => {
        for (const id of ["a", "b", "c"]) await store.save(row(id, { tenantId: "t" }));
        const seen: string[] = [];
        for await (const { id } of store.listByTenant("t")) {
          seen.push(id);
          await store.delete(id);
          await store.save(row(`${id}-next`, { tenantId: "t" }));
        }
        assert.deepEqual(
          ["a", "b", "c"].filter((id) => !seen.includes(id)),
          [],
        );
        assert.ok(seen.length <= 6);
      });
    });

    runner.describe("expiry", () => {
      it("never returns, lists, counts or changes a row past its expiresAt", async () => {
        await store.save(row("old", { userId: "u", tenantId: "t", expiresAt: underTest.now() + MINUTE }));
        await store.save(row("new", { userId: "u", tenantId: "t" }));
        underTest.advance(MINUTE - 1);
        assert.equal(await store.count(), 2);
        underTest.advance(1);
        assert.equal(await store.get("old"), undefined);
        assert.deepEqual(await idsOf(store.listByUser("u")), ["new"]);
        assert.deepEqual(await idsOf(store.listByTenant("t")), ["new"]);
        assert.equal(await store.count(), 1);
        assert.equal(await store.setState("old", { a: 1 }), false);
        assert.equal(await store.updateState("old", "a", () => 1), undefined);
      });
    });
  });
}

async function idsOf(connections: AsyncIterable<Connection>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of connections) ids.push(id);
  return ids.sort();
}
