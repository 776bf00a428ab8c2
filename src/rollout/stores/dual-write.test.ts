import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { connectionStoreCases } from "../../store/contracts/cases.ts";
import type { Connection, ConnectionStore } from "../../store/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { type DualWriteOptions, dualWriteStore, type RowDifference } from "../index.ts";

const HOUR = 3_600_000;

/** Two memory stores with one clock. */
function clocked() {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { now, advance, primary: memoryConnectionStore({ now }), secondary: memoryConnectionStore({ now }) };
}

const row = (id: string, overrides: Partial<Connection> = {}): Connection => ({
  id,
  metadata: {},
  state: {},
  sourceIp: "192.0.2.1",
  endpoint: "https://api.example.com/test",
  connectedAt: Date.UTC(2026, 0, 1),
  expiresAt: Date.UTC(2026, 0, 1) + 24 * HOUR,
  ...overrides,
});

type Method = "save" | "get" | "delete" | "setState" | "updateState";

/** A store whose calls `intercept` may fail or delay. */
function intercepted(
  store: ConnectionStore,
  intercept: (method: Method) => void | Promise<void>,
): ConnectionStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      const call = value.bind(target);
      if (!["save", "get", "delete", "setState", "updateState"].includes(String(name))) return call;
      return async (...args: unknown[]) => {
        await intercept(name as Method);
        return call(...args);
      };
    },
  });
}

/** A store whose writes wait until `open` is called. */
function gated(store: ConnectionStore) {
  const opened = Promise.withResolvers<void>();
  const gate = async (method: Method) => {
    if (method !== "get") await opened.promise;
  };
  return { store: intercepted(store, gate), open: opened.resolve };
}

async function idsIn(store: ConnectionStore): Promise<string[]> {
  const { connections } = await store.listPage!({ limit: 1_000_000 });
  return connections.map(({ id }) => id);
}

connectionStoreCases({ describe, it }, "dual-write store of two memory stores", () => {
  const { primary, secondary, now, advance } = clocked();
  return { store: dualWriteStore(primary, secondary, { now }), now, advance };
});

connectionStoreCases({ describe, it }, "dual-write store that waits for the secondary", () => {
  const { primary, secondary, now, advance } = clocked();
  return { store: dualWriteStore(primary, secondary, { now, background: false }), now, advance };
});

connectionStoreCases({ describe, it }, "dual-write store whose secondary fails", () => {
  const { primary, secondary, now, advance } = clocked();
  const failing = intercepted(secondary, () => Promise.reject(new Error("down")));
  return { store: dualWriteStore(primary, failing, { now }), now, advance };
});

describe("dualWriteStore", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("writes to both stores and finds no difference", async () => {
    const { primary, secondary, now } = clocked();
    const store = dualWriteStore(primary, secondary, { now });
    await store.save(row("a", { userId: "u", state: { n: 1 } }));
    await store.setState("a", { room: "r" });
    await store.updateState("a", "n", (n) => Number(n) + 1);
    await store.save(row("b"));
    await store.delete("b", undefined, { keep: true });
    await store.settled();
    expect(await secondary.get("a")).toEqual(row("a", { userId: "u", state: { n: 2, room: "r" } }));
    expect(await secondary.get("b")).toBeUndefined();
    expect(await secondary.get("b", undefined, { removed: true })).toEqual(row("b"));
    expect(store.differences()).toEqual([]);
    expect(store.report()).toMatchObject({ written: 5, pending: 0, failed: 0, different: 0 });
  });

  it("writes the row as it was when `save` was called", async () => {
    const { primary, secondary, now } = clocked();
    const late = gated(secondary);
    const store = dualWriteStore(primary, late.store, { now });
    const list = ["x"];
    await store.save(row("a", { state: { list } }));
    list.push("y");
    late.open();
    await store.settled();
    expect((await secondary.get("a"))?.state).toEqual({ list: ["x"] });
  });

  it("continues without a secondary that hangs, and drops writes beyond `maxPending`", async () => {
    const { primary, secondary, now } = clocked();
    const late = gated(secondary);
    const store = dualWriteStore(primary, late.store, { now, maxPending: 2 });
    for (const id of ["a", "b", "c"]) expect(await store.save(row(id))).toBe(true);
    expect(await idsIn(primary)).toEqual(["a", "b", "c"]);
    expect(store.report()).toMatchObject({ pending: 2, dropped: 1 });
    expect(store.differences()).toEqual([{ id: "c", fields: ["row"], at: now() }]);
    late.open();
    await store.settled();
    expect(await idsIn(secondary)).toEqual(["a", "b"]);
    expect(store.report().pending).toBe(0);
  });

  it("lists a failed write with its cause until the row is equal again", async () => {
    const { primary, secondary, now } = clocked();
    const cause = new Error("down");
    let isDown = true;
    const flaky = intercepted(secondary, () => (isDown ? Promise.reject(cause) : undefined));
    const found: RowDifference[] = [];
    const onDifference = (difference: RowDifference) => {
      found.push(difference);
      throw new Error("ignored");
    };
    const store = dualWriteStore(primary, flaky, { now, onDifference });
    await store.save(row("a"));
    await store.settled();
    expect(store.differences()).toEqual([{ id: "a", fields: ["row"], at: now(), cause }]);
    expect(found).toEqual(store.differences());
    expect(store.report()).toMatchObject({ failed: 1, compared: 0, different: 1 });
    isDown = false;
    await store.delete("a");
    await store.settled();
    expect(store.differences()).toEqual([]);
  });

  it("lists a write that the secondary had no row for, without comparing", async () => {
    const { primary, secondary, now } = clocked();
    const store = dualWriteStore(primary, secondary, { now, compare: false });
    await primary.save(row("a"));
    await store.setState("a", { n: 1 });
    await store.settled();
    expect(store.differences()).toEqual([{ id: "a", fields: ["row"], at: now() }]);
  });

  it("names the fields that differ, never their values", async () => {
    const { primary, secondary, now } = clocked();
    await secondary.save(row("a", { userId: "other", state: { kept: "secret", gone: 1 } }));
    const store = dualWriteStore(primary, secondary, { now });
    await store.save(row("a", { userId: "u", state: { kept: "hidden" } }));
    await store.settled();
    expect(store.differences()).toEqual([
      { id: "a", fields: ["userId", "state.kept", "state.gone"], at: now() },
    ]);
  });

  it("compares with a given function", async () => {
    const { primary, secondary, now } = clocked();
    await secondary.save(row("a", { userAgent: "other" }));
    const store = dualWriteStore(primary, secondary, { now, compare: () => [] });
    await store.save(row("a"));
    await store.settled();
    expect(store.differences()).toEqual([]);
  });

  it("lists at most `maxListed` rows and counts the others", async () => {
    const { primary, secondary, now } = clocked();
    const failing = intercepted(secondary, () => Promise.reject(new Error("down")));
    const store = dualWriteStore(primary, failing, { now, maxListed: 2 });
    for (const id of ["a", "b", "c"]) await store.save(row(id));
    await store.settled();
    expect(store.differences()).toHaveLength(2);
    expect(store.report()).toMatchObject({ different: 3, unlisted: 1 });
  });

  it("compares a row whose write failed on the primary, which may have carried it out", async () => {
    const { primary, secondary, now } = clocked();
    const lossy = new Proxy(primary, {
      get: (target, name) =>
        name === "save"
          ? async (connection: Connection) => {
              await target.save(connection);
              throw new Error("no answer");
            }
          : Reflect.get(target, name).bind(target),
    });
    const store = dualWriteStore(lossy, secondary, { now });
    await expect(store.save(row("a"))).rejects.toThrow("no answer");
    await store.settled();
    expect(store.differences()).toEqual([{ id: "a", fields: ["row"], at: now() }]);
  });

  it.each(["primary", "secondary"])(
    "keeps the order of overlapping writes when later calls of the %s are faster",
    async (slow) => {
      const { primary, secondary, now } = clocked();
      let turns = 600;
      const accelerating = (store: ConnectionStore) =>
        intercepted(store, async (method) => {
          if (method === "get") return;
          turns -= 25;
          for (let turn = turns; turn > 0; turn--) await undefined;
        });
      const store = dualWriteStore(
        slow === "primary" ? accelerating(primary) : primary,
        slow === "secondary" ? accelerating(secondary) : secondary,
        { now },
      );
      await store.save(row("a"));
      await Promise.all(Array.from({ length: 20 }, (_, n) => store.setState("a", { last: n })));
      await store.settled();
      for (const one of [primary, secondary]) expect((await one.get("a"))?.state).toEqual({ last: 19 });
      expect(store.report()).toMatchObject({ different: 0 });
    },
  );

  it("waits for the secondary on Lambda, at most as long as the caller can", async () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "connect");
    const { primary, secondary, now } = clocked();
    const budgets: (number | undefined)[] = [];
    const recording: ConnectionStore = Object.assign(Object.create(secondary), {
      save: (connection: Connection, budget?: { getRemainingTimeInMillis(): number }) => {
        budgets.push(budget?.getRemainingTimeInMillis());
        return secondary.save(connection);
      },
      get: (id: string) => secondary.get(id),
    });
    const store = dualWriteStore(primary, recording, { now });
    await store.save(row("a"), { getRemainingTimeInMillis: () => 40 });
    expect(await secondary.get("a")).toEqual(row("a"));
    expect(budgets[0]).toBeLessThanOrEqual(40);
  });

  it("does not wait for a secondary that hangs", async () => {
    const { primary, secondary, now } = clocked();
    const store = dualWriteStore(primary, gated(secondary).store, { now, background: false, timeoutMs: 1 });
    expect(await store.save(row("a"))).toBe(true);
    expect(store.report()).toMatchObject({ written: 1, pending: 1 });
    const patient = dualWriteStore(primary, gated(secondary).store, { now, background: false });
    const budget = { getRemainingTimeInMillis: () => 1 };
    expect(await patient.save(row("b"), budget)).toBe(true);
  });

  it("counts a comparison that a store does not answer", async () => {
    const { primary, secondary, now } = clocked();
    const unreadable = intercepted(secondary, (method) => {
      if (method === "get") throw new Error("down");
    });
    const store = dualWriteStore(primary, unreadable, { now });
    await store.save(row("a"));
    await store.settled();
    expect(store.report()).toMatchObject({ failed: 0, compared: 0, uncompared: 1, different: 0 });
  });

  it.each([
    ["no secondary", [memoryConnectionStore(), undefined], "`secondary` is required"],
    ["something else than a store", [{}, memoryConnectionStore()], "`primary` must be an object with save()"],
    ["an unknown option", [memoryConnectionStore(), memoryConnectionStore(), { compair: true }], "compair"],
    ["no queue", [memoryConnectionStore(), memoryConnectionStore(), { maxPending: 0 }], "maxPending"],
  ])("rejects %s with INVALID_OPTION", (_what, args, message) => {
    expect(() => dualWriteStore(...(args as [never, never, DualWriteOptions]))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  it("rejects one store in both roles", () => {
    const store = memoryConnectionStore();
    expect(() => dualWriteStore(store, store)).toThrow("another store");
  });
});

type Operation = { readonly kind: number; readonly id: string; readonly key: string; readonly value: number };

async function apply(store: ConnectionStore, { kind, id, key, value }: Operation): Promise<unknown> {
  if (kind <= 2) return store.save(row(id, { tenantId: `tenant of ${id}`, state: { [key]: value } }));
  if (kind === 3) return store.delete(id, undefined, { keep: value % 2 === 0 });
  if (kind <= 5) return store.setState(id, { [key]: value % 3 === 0 ? undefined : value });
  return store.updateState(id, key, (current) => (Number(current ?? 0) % 5 === 4 ? undefined : value));
}

async function allRows(store: ConnectionStore): Promise<Map<string, Connection | undefined>> {
  const ids = ["a", "b", "c", "d", "__proto__"];
  return new Map(await Promise.all(ids.map(async (id) => [id, await store.get(id)] as const)));
}

describe("dualWriteStore with random operations and failures of the secondary", () => {
  const operation = fc.record({
    kind: fc.integer({ min: 0, max: 7 }),
    id: fc.constantFrom("a", "b", "c", "d", "__proto__"),
    key: fc.constantFrom("x", "y", "__proto__"),
    value: fc.integer({ min: 0, max: 20 }),
  });

  it("equals a plain store, and after `reconcile` the secondary does too", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 40 }),
        fc.array(fc.constantFrom("ok", "fail", "fail after"), { minLength: 1, maxLength: 20 }),
        async (operations, faults) => {
          const { primary, secondary, now } = clocked();
          const plain = memoryConnectionStore({ now });
          let call = 0;
          let isFaulty = true;
          const faulty = new Proxy(secondary, {
            get: (target, name) => {
              const method = Reflect.get(target, name).bind(target);
              if (!["save", "delete", "setState", "get"].includes(String(name))) return method;
              return async (...args: unknown[]) => {
                const fault = isFaulty ? faults[call++ % faults.length] : "ok";
                if (fault === "fail") throw new Error("failed");
                const result = await method(...args);
                if (fault === "fail after") throw new Error("no answer");
                return result;
              };
            },
          });
          const store = dualWriteStore(primary, faulty, { now });
          for (const one of operations) expect(await apply(store, one)).toEqual(await apply(plain, one));
          expect(await allRows(store)).toEqual(await allRows(plain));
          await store.settled();
          isFaulty = false;
          const { remaining } = await store.reconcile({ removeExtra: true, pageSize: 2 });
          expect(remaining).toBe(0);
          expect(store.differences()).toEqual([]);
          expect(await allRows(secondary)).toEqual(await allRows(plain));
        },
      ),
    );
  });
});

describe("swapRoles", () => {
  it("refuses while rows are known to differ, and swaps after `reconcile`", async () => {
    const { primary, secondary, now } = clocked();
    let isDown = true;
    const flaky = intercepted(secondary, () => (isDown ? Promise.reject(new Error("down")) : undefined));
    const store = dualWriteStore(primary, flaky, { now });
    await store.save(row("a"));
    await expect(store.swapRoles()).rejects.toMatchObject({ code: "DIFFERENCES_OPEN" });
    expect(store.primary).toBe(primary);
    isDown = false;
    await store.reconcile();
    await store.swapRoles();
    expect([store.primary, store.secondary]).toEqual([flaky, primary]);
    expect(await store.get("a")).toEqual(row("a"));
  });

  it("swaps with `force`, and refuses a second swap at once", async () => {
    const { primary, secondary, now } = clocked();
    const failing = intercepted(secondary, () => Promise.reject(new Error("down")));
    const store = dualWriteStore(primary, failing, { now });
    await store.save(row("a"));
    const swapped = store.swapRoles({ force: true });
    await expect(store.swapRoles()).rejects.toMatchObject({ code: "SWAP_RUNNING" });
    await swapped;
    expect(store.primary).toBe(failing);
  });

  it("waits for writes that have begun, and holds later ones", async () => {
    const { primary, secondary, now } = clocked();
    const late = gated(primary);
    const store = dualWriteStore(late.store, secondary, { now });
    const saved = store.save(row("a"));
    const swapped = store.swapRoles();
    const held = store.save(row("b"));
    late.open();
    await Promise.all([saved, swapped, held]);
    expect(store.primary).toBe(secondary);
    expect([await store.get("a"), await store.get("b")]).toEqual([row("a"), row("b")]);
    await store.settled();
    expect(await idsIn(primary)).toEqual(["a", "b"]);
  });

  it("loses no row when roles swap and swap back during 100,000 operations", async () => {
    const { primary, secondary, now } = clocked();
    const store = dualWriteStore(primary, secondary, { now, maxPending: 200_000 });
    const connections = 12_500;
    const lanes = 50;
    let done = 0;
    const swaps: Promise<void>[] = [];
    const lane = async (first: number) => {
      for (let n = first; n < connections; n += lanes) {
        const id = `id-${n}`;
        expect(await store.save(row(id, { tenantId: `t${n % 7}` }))).toBe(true);
        for (let step = 0; step < 5; step++) await store.setState(id, { step, [`key${step}`]: n });
        expect(await store.updateState(id, "step", (step) => Number(step) + 1)).toBe(5);
        if (n % 3 === 0) await store.delete(id);
        else expect(await store.setState(id, { last: true })).toBe(true);
        if (++done % (connections / 5) === 0 && done < connections) swaps.push(store.swapRoles());
      }
    };
    await Promise.all(Array.from({ length: lanes }, (_, n) => lane(n)));
    await Promise.all(swaps);
    await store.settled();
    expect([swaps.length, store.primary]).toEqual([4, primary]);
    expect(store.report()).toMatchObject({ written: 8 * connections, dropped: 0, failed: 0, different: 0 });
    const kept = Array.from({ length: connections }, (_, n) => n).filter((n) => n % 3 !== 0);
    for (const one of [primary, secondary]) {
      expect(await one.count()).toBe(kept.length);
      for (const n of kept) {
        const keys = { key0: n, key1: n, key2: n, key3: n, key4: n };
        expect((await one.get(`id-${n}`))?.state).toEqual({ step: 5, last: true, ...keys });
      }
    }
  });
});
