import { describe, expect, it } from "vitest";
import type { Connection, ConnectionStore } from "../../store/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { type ReconcileProgress, reconcile } from "../index.ts";

const START = Date.UTC(2026, 0, 1);
const now = () => START;

const row = (id: string, overrides: Partial<Connection> = {}): Connection => ({
  id,
  metadata: {},
  state: {},
  sourceIp: "192.0.2.1",
  endpoint: "https://api.example.com/test",
  connectedAt: START,
  expiresAt: START + 3_600_000,
  ...overrides,
});

async function storeOf(...rows: readonly Connection[]): Promise<ConnectionStore> {
  const store = memoryConnectionStore({ now });
  for (const one of rows) await store.save(one);
  return store;
}

const many = (count: number) => Array.from({ length: count }, (_, n) => row(`id-${100 + n}`));

describe("reconcile", () => {
  it("backfills missing rows and writes differing state", async () => {
    const primary = await storeOf(
      row("a", { userId: "u", state: { n: 1 } }),
      row("b", { state: { x: 1, y: 2 } }),
    );
    const secondary = await storeOf(row("b", { state: { x: 2, z: 3 } }));
    expect(await reconcile(primary, secondary, { now })).toEqual({
      checked: 2,
      repaired: 2,
      remaining: 0,
      differences: [],
    });
    for (const id of ["a", "b"]) expect(await secondary.get(id)).toEqual(await primary.get(id));
    expect(await reconcile(primary, secondary, { now })).toMatchObject({ checked: 2, repaired: 0 });
  });

  it("reports rows that only the secondary has, and removes them when asked to", async () => {
    const primary = await storeOf(row("a"));
    const secondary = await storeOf(row("a"), row("extra"));
    const difference = { id: "extra", fields: ["row"], at: START };
    const report = await reconcile(primary, secondary, { now });
    expect(report).toEqual({ checked: 2, repaired: 0, remaining: 1, differences: [difference] });
    expect(await secondary.get("extra")).toBeDefined();
    expect(await reconcile(primary, secondary, { now, removeExtra: true })).toMatchObject({ repaired: 1 });
    expect(await secondary.get("extra")).toBeUndefined();
  });

  it("keeps a removed row for a `$disconnect` if the primary keeps it", async () => {
    const primary = await storeOf(row("a"));
    const secondary = await storeOf(row("a"));
    await primary.delete("a", undefined, { keep: true });
    await reconcile(primary, secondary, { now, removeExtra: true });
    expect(await secondary.get("a", undefined, { removed: true })).toEqual(row("a"));
  });

  it("reports fixed fields that differ, which it cannot repair", async () => {
    const primary = await storeOf(row("a", { userId: "ann", metadata: { n: 1 } }));
    const secondary = await storeOf(row("a", { userId: "ben" }));
    expect((await reconcile(primary, secondary, { now })).differences).toEqual([
      { id: "a", fields: ["metadata", "userId"], at: START },
    ]);
  });

  it("ignores a row that is about to expire", async () => {
    const primary = await storeOf(row("a", { expiresAt: START + 9_999 }));
    const report = await reconcile(primary, await storeOf(), { now });
    expect(report).toMatchObject({ repaired: 0, remaining: 0 });
  });

  it("continues from the cursor of any page after an abort", async () => {
    const primary = await storeOf(...many(10));
    const secondary = await storeOf(row("extra"));
    const seen: ReconcileProgress[] = [];
    let cursor: string | undefined;
    do {
      const stop = new AbortController();
      const onProgress = (progress: ReconcileProgress) => {
        seen.push(progress);
        stop.abort();
      };
      const options = { now, pageSize: 3, signal: stop.signal, onProgress, removeExtra: true };
      ({ cursor } = await reconcile(
        primary,
        secondary,
        cursor === undefined ? options : { ...options, cursor },
      ));
    } while (cursor !== undefined);
    expect(seen.length).toBeGreaterThan(5);
    const total = (name: "checked" | "repaired") => seen.reduce((sum, one) => sum + one[name], 0);
    expect([total("checked"), total("repaired")]).toEqual([11, 11]);
    expect(await secondary.count()).toBe(10);
  });

  it("rejects with a store's error, and the last cursor resumes", async () => {
    const primary = await storeOf(...many(4));
    const secondary = await storeOf();
    let saves = 0;
    const failing: ConnectionStore = Object.assign(Object.create(secondary), {
      get: (id: string) => secondary.get(id),
      listPage: (page: { limit: number }) => secondary.listPage!(page),
      save: (connection: Connection) =>
        ++saves === 3 ? Promise.reject(new Error("down")) : secondary.save(connection),
    });
    let cursor: string | undefined;
    const options = {
      now,
      pageSize: 1,
      onProgress: (progress: ReconcileProgress) => {
        cursor = progress.cursor;
      },
    };
    await expect(reconcile(primary, failing, options)).rejects.toThrow("down");
    expect(await reconcile(primary, failing, { ...options, cursor: cursor! })).toMatchObject({ repaired: 2 });
    expect(await secondary.count()).toBe(4);
  });

  it("rejects a store that cannot list its rows", async () => {
    const unlisted = Object.assign(Object.create(await storeOf()), { listPage: undefined });
    await expect(reconcile(unlisted, await storeOf())).rejects.toMatchObject({ code: "NOT_LISTABLE" });
  });

  it.each([[{ cursor: "edited" }], [{ pageSize: 0 }], [{ concurrency: Number.NaN }], [{ remove: true }]])(
    "rejects %j with INVALID_OPTION",
    async (options) => {
      await expect(reconcile(await storeOf(), await storeOf(), options as never)).rejects.toMatchObject({
        code: "INVALID_OPTION",
      });
    },
  );
});
