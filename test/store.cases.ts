import { beforeEach, describe, expect, it } from "vitest";
import type { Connection, ConnectionStore, Json } from "../src/store/index.ts";

export interface StoreUnderTest {
  readonly store: ConnectionStore;
  /** Moves the store's time on. Where a backend's own clock can't be moved, its `now` option is. */
  advance(ms: number): void;
  /** ms since the epoch, by that time. */
  now(): number;
}

const MINUTE = 60_000;

/** Everything that `ConnectionStore` promises, for any backend. `make` gives an empty store. */
export function storeCases(name: string, make: () => Promise<StoreUnderTest> | StoreUnderTest): void {
  describe(name, () => {
    let world: StoreUnderTest;
    let store: ConnectionStore;

    beforeEach(async () => {
      world = await make();
      store = world.store;
    });

    const row = (id: string, overrides: Partial<Connection> = {}): Connection => ({
      id,
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/test",
      connectedAt: world.now(),
      expiresAt: world.now() + 130 * MINUTE,
      ...overrides,
    });

    describe("save, get and delete", () => {
      it("gives back every field of a row", async () => {
        const full = row("a", {
          userId: "user",
          tenantId: "tenant",
          metadata: { device: { os: "linux", cores: [1, 2.5, null, true] } },
          state: { room: "r1", list: ["x", { y: "" }] },
          userAgent: "agent/1.0",
        });
        expect(await store.save(full)).toBe(true);
        expect(await store.get("a")).toEqual(full);
      });

      it("keeps an anonymous connection without inventing a user or a tenant", async () => {
        await store.save(row("a"));
        const found = await store.get("a");
        expect(found).toEqual(row("a"));
        expect(found).not.toHaveProperty("userId");
        expect(found).not.toHaveProperty("tenantId");
      });

      it("has no row of an id that was never saved", async () => {
        expect(await store.get("nobody")).toBeUndefined();
        expect(await store.get("__proto__")).toBeUndefined();
      });

      it("keeps the state written since when the same connection is saved again", async () => {
        const first = row("a", { state: { room: "r1", seat: 1 } });
        await store.save(first);
        await store.setState("a", { room: "r2", seat: undefined, extra: true });
        expect(await store.save(first)).toBe(true);
        expect((await store.get("a"))?.state).toEqual({ room: "r2", extra: true });
        expect(await store.count()).toBe(1);
      });

      it("removes a row from get, lists and count", async () => {
        await store.save(row("a", { userId: "u", tenantId: "t" }));
        await store.delete("a");
        expect(await store.get("a")).toBeUndefined();
        expect(await idsOf(store.listByUser("u"))).toEqual([]);
        expect(await idsOf(store.listByTenant("t"))).toEqual([]);
        expect(await store.count()).toBe(0);
      });

      it("changes nothing when a row is deleted twice", async () => {
        await store.save(row("a"));
        await store.save(row("b"));
        await store.delete("a");
        await store.delete("a");
        expect(await store.count()).toBe(1);
      });

      it("refuses a save that comes after the delete", async () => {
        await store.delete("late");
        expect(await store.save(row("late"))).toBe(false);
        expect(await store.get("late")).toBeUndefined();
        await store.save(row("a"));
        await store.delete("a");
        world.advance(14 * MINUTE);
        expect(await store.save(row("a"))).toBe(false);
      });

      it("keeps what a row held when it is told to, for who asks for it, and in no list", async () => {
        const held = row("a", { userId: "u", tenantId: "t", state: { room: "r" } });
        await store.save(held);
        await store.delete("a", undefined, { keep: true });
        expect(await store.get("a")).toBeUndefined();
        expect(await store.get("a", undefined, { removed: true })).toEqual(held);
        for await (const found of store.listByTenant("t")) expect(found).toBeUndefined();
        for await (const found of store.listByUser("u")) expect(found).toBeUndefined();
        expect(await store.count()).toBe(0);
        expect(await store.save(held)).toBe(false);
        expect(await store.setState("a", { room: "x" })).toBe(false);
        await store.delete("a");
        expect(await store.get("a", undefined, { removed: true })).toEqual(held);
        world.advance(130 * MINUTE);
        expect(await store.get("a", undefined, { removed: true })).toBeUndefined();
      });

      it("keeps nothing of a row that is deleted for good, and of none", async () => {
        await store.save(row("a"));
        await store.delete("a");
        await store.delete("a", undefined, { keep: true });
        await store.delete("nobody", undefined, { keep: true });
        expect(await store.get("a", undefined, { removed: true })).toBeUndefined();
        expect(await store.get("nobody", undefined, { removed: true })).toBeUndefined();
      });

      it("gives snapshots: later writes do not change what was read", async () => {
        await store.save(row("a", { state: { list: ["x"] } }));
        const before = await store.get("a");
        await store.setState("a", { list: ["x", "y"] });
        expect(before?.state).toEqual({ list: ["x"] });
      });

      it("does not see what its caller does to the row after the save", async () => {
        const list: Json[] = ["x"];
        await store.save(row("a", { state: { list } }));
        list.push("y");
        expect((await store.get("a"))?.state).toEqual({ list: ["x"] });
      });

      it("answers peek, where there is one, as get", async () => {
        await store.save(row("a", { expiresAt: world.now() + MINUTE }));
        if (store.peek !== undefined) expect(store.peek("a", world.now())).toEqual(await store.get("a"));
        world.advance(MINUTE);
        expect(store.peek?.("a", world.now())).toBeUndefined();
      });
    });

    describe("state", () => {
      it("writes each key on its own", async () => {
        await store.save(row("a", { state: { kept: 1 } }));
        const writes = Array.from({ length: 20 }, (_, n) => store.setState("a", { [`key${n}`]: n }));
        expect(await Promise.all(writes)).toEqual(writes.map(() => true));
        const state = (await store.get("a"))?.state;
        expect(Object.keys(state ?? {})).toHaveLength(21);
        expect(state).toMatchObject({ kept: 1, key0: 0, key19: 19 });
      });

      it("removes a key that is set to undefined", async () => {
        await store.save(row("a", { state: { gone: 1, kept: 2 } }));
        expect(await store.setState("a", { gone: undefined, never: undefined })).toBe(true);
        expect((await store.get("a"))?.state).toEqual({ kept: 2 });
      });

      it("takes any string as a key", async () => {
        const names = ["__proto__", "constructor", "a.b", "a b", "#", "ключ", "toString"];
        await store.save(row("a"));
        for (const name of names) await store.setState("a", { [name]: name });
        const state = (await store.get("a"))?.state ?? {};
        expect(new Map(Object.entries(state))).toEqual(new Map(names.map((name) => [name, name])));
      });

      it("writes nothing where there is no row", async () => {
        expect(await store.setState("nobody", { a: 1 })).toBe(false);
        await store.save(row("a"));
        await store.delete("a");
        expect(await store.setState("a", { a: 1 })).toBe(false);
        expect(await store.get("a")).toBeUndefined();
      });

      it("loses no update of a key that many change at once", async () => {
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
        expect(state?.count).toBe(10);
        expect(new Set(state?.list as number[])).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        expect(state).toMatchObject({ other0: 0, other9: 9 });
      });

      it("resolves an update to what it wrote, and starts from undefined", async () => {
        await store.save(row("a"));
        expect(await store.updateState("a", "n", (current) => (current === undefined ? 1 : 2))).toBe(1);
        expect(await store.updateState("a", "n", (current) => (current === undefined ? 1 : 2))).toBe(2);
      });

      it("removes a key whose update gives undefined", async () => {
        await store.save(row("a", { state: { n: 1, kept: 2 } }));
        expect(await store.updateState("a", "n", () => undefined)).toBeUndefined();
        expect((await store.get("a"))?.state).toEqual({ kept: 2 });
      });

      it("updates nothing where there is no row", async () => {
        expect(await store.updateState("nobody", "n", () => 1)).toBeUndefined();
        expect(await store.get("nobody")).toBeUndefined();
      });

      it("leaves the state alone when an update throws", async () => {
        await store.save(row("a", { state: { n: 1 } }));
        const broken = store.updateState("a", "n", () => {
          throw new Error("broken");
        });
        await expect(broken).rejects.toThrow("broken");
        expect((await store.get("a"))?.state).toEqual({ n: 1 });
      });
    });

    describe("lists", () => {
      it("lists a user's and a tenant's connections, and no other's", async () => {
        await store.save(row("a", { userId: "u1", tenantId: "t1" }));
        await store.save(row("b", { userId: "u1", tenantId: "t2" }));
        await store.save(row("c", { userId: "u2", tenantId: "t1" }));
        await store.save(row("d"));
        expect(await idsOf(store.listByUser("u1"))).toEqual(["a", "b"]);
        expect(await idsOf(store.listByTenant("t1"))).toEqual(["a", "c"]);
        expect(await idsOf(store.listByTenant("nobody"))).toEqual([]);
        expect(await idsOf(store.listByUser("__proto__"))).toEqual([]);
        expect(await store.count()).toBe(4);
      });

      it("lists whole rows", async () => {
        const full = row("a", { userId: "u", state: { room: "r" } });
        await store.save(full);
        const rows: Connection[] = [];
        for await (const found of store.listByUser("u")) rows.push(found);
        expect(rows).toEqual([full]);
      });

      it("lists the connections of users and tenants with long ids", async () => {
        const long = "é".repeat(1_025);
        const rows = [
          row("a", { userId: long, tenantId: `${long}t` }),
          row("b", { userId: `${long}b`, tenantId: `${long}t` }),
          row("c", { userId: "x".repeat(2_048) }),
        ];
        for (const one of rows) await store.save(one);
        expect(await store.get("a")).toEqual(rows[0]);
        expect(await idsOf(store.listByUser(long))).toEqual(["a"]);
        expect(await idsOf(store.listByUser(`${long}b`))).toEqual(["b"]);
        expect(await idsOf(store.listByTenant(`${long}t`))).toEqual(["a", "b"]);
        expect(await idsOf(store.listByUser("x".repeat(2_048)))).toEqual(["c"]);
        expect(await idsOf(store.listByUser("x".repeat(2_049)))).toEqual([]);
      });

      it("puts a connection without a tenant in no tenant's list", async () => {
        await store.save(row("a", { userId: "u" }));
        expect(await idsOf(store.listByTenant(""))).toEqual([]);
        expect(await idsOf(store.listByTenant("undefined"))).toEqual([]);
      });

      it("survives connections that come and go while it lists", async () => {
        for (const id of ["a", "b", "c"]) await store.save(row(id, { tenantId: "t" }));
        const seen: string[] = [];
        for await (const { id } of store.listByTenant("t")) {
          seen.push(id);
          await store.delete(id);
          await store.save(row(`${id}-next`, { tenantId: "t" }));
        }
        expect(seen).toEqual(expect.arrayContaining(["a", "b", "c"]));
        expect(seen.length).toBeLessThanOrEqual(6);
      });
    });

    describe("expiry", () => {
      it("never returns, lists, counts or changes a row past its expiresAt", async () => {
        await store.save(row("old", { userId: "u", tenantId: "t", expiresAt: world.now() + MINUTE }));
        await store.save(row("new", { userId: "u", tenantId: "t" }));
        world.advance(MINUTE - 1);
        expect(await store.count()).toBe(2);
        world.advance(1);
        expect(await store.get("old")).toBeUndefined();
        expect(await idsOf(store.listByUser("u"))).toEqual(["new"]);
        expect(await idsOf(store.listByTenant("t"))).toEqual(["new"]);
        expect(await store.count()).toBe(1);
        expect(await store.setState("old", { a: 1 })).toBe(false);
        expect(await store.updateState("old", "a", () => 1)).toBeUndefined();
      });
    });
  });
}

async function idsOf(connections: AsyncIterable<Connection>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of connections) ids.push(id);
  return ids.sort();
}
