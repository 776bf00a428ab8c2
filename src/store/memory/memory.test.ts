import { describe, expect, it } from "vitest";
import { connectionStoreCases } from "../contracts/cases.ts";
import type { Connection } from "../contracts/connections.ts";
import { memoryConnectionStore } from "./index.ts";

function make() {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: memoryConnectionStore({ now }), now, advance };
}

connectionStoreCases({ describe, it }, "memory store", make);

describe("memory store", () => {
  const row: Connection = {
    id: "a",
    metadata: { device: { os: "linux" } },
    state: { list: [{ n: 1 }] },
    sourceIp: "192.0.2.1",
    endpoint: "https://api.example.com/test",
    connectedAt: 0,
    expiresAt: Number.MAX_SAFE_INTEGER,
  };

  it("returns immutable rows", async () => {
    const { store } = make();
    await store.save(row);
    await store.setState("a", { more: { deep: [1] } });
    const found = (await store.get("a")) as unknown as {
      state: { list: { n: number }[]; more: { deep: number[] } };
    };
    expect(() => found.state.more.deep.push(2)).toThrow(TypeError);
    expect(() => Object.assign(found.state.list[0] ?? {}, { n: 2 })).toThrow(TypeError);
    expect(() => Object.assign(found, { id: "b" })).toThrow(TypeError);
  });

  it("evicts expired rows on save, so that they never outnumber live rows", async () => {
    const { store, now, advance } = make();
    const dead = Array.from({ length: 20 }, (_, n) => `dead-${n}`);
    for (const id of dead) await store.save({ ...row, id, expiresAt: now() + 1 });
    advance(1);
    for (let n = 0; n < 2 * dead.length; n++) await store.save({ ...row, id: `live-${n}` });
    // Every remaining row is live by this clock.
    advance(-1);
    for (const id of dead) expect(await store.get(id)).toBeUndefined();
    expect(await store.count()).toBe(2 * dead.length);
  });

  it("checks two rows for expiry per save, so that the cost of a save is bounded", async () => {
    const { store, now, advance } = make();
    for (let n = 0; n < 20; n++) await store.save({ ...row, id: `dead-${n}`, expiresAt: now() + 1 });
    advance(1);
    await store.save(row);
    // Every remaining row is live by this clock.
    advance(-1);
    expect(await store.count()).toBe(19);
  });

  it("lists no connection under a missing user or tenant", async () => {
    const { store } = make();
    await store.save(row);
    for (const list of [store.listByUser(undefined as never), store.listByTenant(undefined as never)]) {
      for await (const found of list) expect(found).toBeUndefined();
    }
  });

  it("does not freeze the caller's objects", async () => {
    const { store } = make();
    await store.save(row);
    expect(Object.isFrozen(row.metadata.device)).toBe(false);
  });

  it("drops a deleted id after 15 minutes", async () => {
    const { store, advance } = make();
    await store.delete("a");
    advance(10 * 60_000);
    await store.delete("a");
    advance(5 * 60_000 - 1);
    expect(await store.save(row)).toBe(false);
    advance(1);
    expect(await store.save(row)).toBe(true);
  });

  it("keeps a deleted row for 15 minutes", async () => {
    const { store, advance } = make();
    await store.save(row);
    await store.delete("a", undefined, { keep: true });
    advance(15 * 60_000 - 1);
    expect(await store.get("a", undefined, { removed: true })).toEqual(row);
    advance(1);
    expect(await store.get("a", undefined, { removed: true })).toBeUndefined();
  });

  it("returns a live row also with `removed`", async () => {
    const { store } = make();
    await store.save(row);
    expect(await store.get("a", undefined, { removed: true })).toEqual(row);
  });

  it("peeks at no row of an unknown id", () => {
    const { store, now } = make();
    expect(store.peek!("nobody", now())).toBeUndefined();
  });

  it("lists and counts no expired row that is still in memory", async () => {
    const { store, now, advance } = make();
    const owners = { userId: "u", tenantId: "t" };
    await store.save({ ...row, ...owners, id: "old", expiresAt: now() + 1 });
    await store.save({ ...row, ...owners, id: "new" });
    advance(1);
    for (const list of [store.listByUser("u"), store.listByTenant("t")]) {
      const ids: string[] = [];
      for await (const { id } of list) ids.push(id);
      expect(ids).toEqual(["new"]);
    }
    expect(await store.count()).toBe(1);
  });

  it("lists no expired row in a page", async () => {
    const { store, now, advance } = make();
    await store.save({ ...row, id: "old", expiresAt: now() + 1 });
    advance(1);
    expect(await store.listPage!({ limit: 1 })).toStrictEqual({ connections: [] });
  });

  it("lists each row once, in pages in the order of their ids", async () => {
    const { store } = make();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => ({ ...row, id }));
    for (const each of [d!, a!, c!, b!]) await store.save(each);
    expect(await store.listPage!({ limit: 2 })).toStrictEqual({ connections: [a, b], next: "b" });
    expect(await store.listPage!({ limit: 2, after: "b" })).toStrictEqual({ connections: [c, d] });
  });

  it("does not store a row that has expired", async () => {
    const { store, now, advance } = make();
    expect(await store.save({ ...row, expiresAt: now() })).toBe(true);
    // The row would be live by this clock.
    advance(-1);
    expect(await store.get("a")).toBeUndefined();
  });

  it("uses the system's time by default", async () => {
    const store = memoryConnectionStore();
    await store.save({ ...row, id: "past", expiresAt: Date.now() - 1 });
    await store.save({ ...row, id: "future", expiresAt: Date.now() + 60_000 });
    expect(await store.get("past")).toBeUndefined();
    expect((await store.get("future"))?.id).toBe("future");
  });
});
