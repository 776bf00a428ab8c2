import assert from "node:assert/strict";
import {
  type CreateRequestStore,
  collect,
  FAILURE,
  idsOf,
  LEASE_MS,
  MINUTE,
  type RequestStoreUnderTest,
  requestDriver,
} from "./request-store-under-test.ts";
import { type TestRunner, withSetUp } from "./test-runner.ts";

/** Lists and counts of requests. */
export function requestListCases(runner: TestRunner, createStore: CreateRequestStore): void {
  let underTest: RequestStoreUnderTest;
  const it = withSetUp(runner.it, async () => {
    underTest = await createStore();
  });
  const store = () => underTest.store;
  const { key, create, claim, start, finish, complete, fail, cancel, due } = requestDriver(() => underTest);

  it("lists an owner's requests in pages, the newest first", async () => {
    const ids = ["r3", "r1", "r5", "r0", "r6", "r2", "r4"];
    for (const id of ids) {
      await create(id);
      await create(id, { owner: "bob" });
      underTest.advance(1);
    }
    const newest = ids.toReversed();
    assert.deepEqual(await pages("ada", 3), [newest.slice(0, 3), newest.slice(3, 6), newest.slice(6)]);
    assert.deepEqual(await pages("ada", 7), [newest]);
    assert.deepEqual(await pages("ada", 100), [newest]);
    assert.deepEqual(await store().list("nobody", { limit: 10 }), { requests: [] });
    const { requests } = await store().list("ada", { limit: 1 });
    assert.deepEqual(requests, [await store().get(key("r4"))]);
  });

  it("lists requests of the same millisecond, each once", async () => {
    const ids = ["a", "b", "\u00e9", "a:b", "\u{1F600}", "\uD83D", "__proto__"];
    for (const id of ids) await create(id);
    assert.deepEqual((await pages("ada", 2)).flat().sort(), ids.sort());
  });

  it("lists requests of every state, and continues after those that were added meanwhile", async () => {
    for (let n = 0; n < 5; n++) {
      await create(`r${n}`);
      underTest.advance(1);
    }
    await claim("r0", "t");
    await complete("r0", "t");
    await claim("r1", "t");
    await fail("r1", "t");
    await cancel("r2");
    await claim("r3", "t");
    const first = await store().list("ada", { limit: 2 });
    assert.deepEqual(idsOf(first.requests), ["r4", "r3"]);
    await create("r5");
    const second = await store().list("ada", { limit: 3, after: first.next });
    assert.deepEqual(idsOf(second.requests), ["r2", "r1", "r0"]);
    assert.equal(second.next, undefined);
    assert.deepEqual(
      second.requests.map(({ state }) => state),
      ["CANCELLED", "FAILED", "COMPLETED"],
    );
  });

  it("rejects an `after` that is not of a page", async () => {
    await create("r1");
    for (const after of ["", "x", "r1", ":r1", "NaN:r1", "x1:r1", "1:", "{}"]) {
      await assert.rejects(store().list("ada", { limit: 10, after }), { code: "STORE_REFUSED" });
    }
  });

  it("shows an owner's requests to no other, also by `after`", async () => {
    for (const owner of ["ada", "ada:", "ad", "a"]) {
      await create("r1", { owner });
      await create("r2", { owner });
    }
    const { next } = await store().list("ada", { limit: 1 });
    for (const owner of ["ada", "ada:", "ad", "a"]) {
      const page = await store().list(owner, { limit: 10, after: next });
      for (const each of page.requests) assert.equal(each.owner, owner);
    }
  });

  it("counts requests that are not final, by owner and by tenant, up to the limit", async () => {
    for (let n = 0; n < 5; n++) await create(`r${n}`);
    await create("other", { owner: "bob" });
    await create("elsewhere", { owner: "bob", tenant: "__proto__" });
    const counts = async () =>
      Promise.all([
        store().countOpen({ owner: "ada" }, 100),
        store().countOpen({ owner: "bob" }, 100),
        store().countOpen({ tenant: "acme" }, 100),
        store().countOpen({ tenant: "__proto__" }, 100),
        store().countOpen({ tenant: "ada" }, 100),
        store().countOpen({ owner: "acme" }, 100),
      ]);
    assert.deepEqual(await counts(), [5, 2, 6, 1, 0, 0]);
    await create("r0");
    for (const n of [0, 1, 2]) await claim(`r${n}`, "t");
    assert.deepEqual(await counts(), [5, 2, 6, 1, 0, 0]);
    await complete("r0", "t");
    await complete("r0", "t");
    await fail("r1", "t");
    await finish("r2", "t", { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() + MINUTE });
    await cancel("r3");
    await cancel("r3");
    await cancel("elsewhere", "bob");
    assert.deepEqual(await counts(), [2, 1, 3, 0, 0, 0]);
    await store().redrive(key("r1"), underTest.now());
    assert.deepEqual(await counts(), [3, 1, 4, 0, 0, 0]);
    assert.equal(await store().countOpen({ tenant: "acme" }, 4), 4);
    assert.equal(await store().countOpen({ tenant: "acme" }, 2), 2);
    assert.equal(await store().countOpen({ owner: "ada" }, 1), 1);
  });

  it("lists due requests by priority, then by age", async () => {
    const priorities = { low: -5, old: 0, young: 0, high: 10, higher: 11, highest: 1_000 };
    const expected = ["highest", "higher", "high", "old", "young", "low"];
    for (const [id, priority] of Object.entries(priorities)) {
      await create(id, { priority });
      underTest.advance(1);
    }
    assert.deepEqual(await due(), expected);
    assert.deepEqual(await due(), expected);
  });

  it("lists due requests again until they are claimed, cancelled or postponed", async () => {
    for (const id of ["claimed", "cancelled", "left", "retried"]) await create(id);
    await create("delayed", { dueAt: underTest.now() + 2 * MINUTE });
    await claim("claimed", "t");
    await cancel("cancelled");
    await claim("retried", "t");
    await finish("retried", "t", { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() + MINUTE });
    assert.deepEqual(await due(), ["left"]);
    underTest.advance(LEASE_MS);
    assert.deepEqual((await due()).sort(), ["claimed", "left"]);
    underTest.advance(MINUTE - LEASE_MS);
    assert.deepEqual((await due()).sort(), ["claimed", "left", "retried"]);
    underTest.advance(MINUTE);
    const all = ["claimed", "delayed", "left", "retried"];
    assert.deepEqual((await due()).sort(), all);
    for (const id of all) await claim(id, "t2");
    assert.deepEqual(await due(), []);
  });

  it("lists by the caller's time", async () => {
    await create("now");
    await create("later", { dueAt: underTest.now() + MINUTE });
    assert.deepEqual(await due(underTest.now() - 1), []);
    assert.deepEqual(await due(underTest.now() + MINUTE - 1), ["now"]);
    assert.deepEqual((await due(underTest.now() + MINUTE)).sort(), ["later", "now"]);
    assert.deepEqual(await due(underTest.now()), ["now"]);
  });

  it("lets tenants take turns within a priority", async () => {
    for (let n = 0; n < 20; n++) await create(`many${n}`, { tenant: "large" });
    for (let n = 0; n < 2; n++) await create(`few${n}`, { tenant: "small", owner: "bob" });
    await create("one", { tenant: "tiny", owner: "eve" });
    const listed = await collect(store().listDue(underTest.now()));
    assert.equal(listed.length, 23);
    const tenants = listed.map(({ tenant }) => tenant);
    assert.deepEqual(tenants.slice(0, 3).sort(), ["large", "small", "tiny"]);
    assert.deepEqual(tenants.slice(3, 5).sort(), ["large", "small"]);
    assert.deepEqual(idsOf(listed).sort(), [...new Set(idsOf(listed))].sort());
  });

  it("allows changes while due requests are listed", async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `r${String(n).padStart(2, "0")}`);
    for (const id of ids) await create(id, { tenant: `tenant ${id.at(-1)}` });
    const seen: string[] = [];
    for await (const { id } of store().listDue(underTest.now())) {
      seen.push(id);
      await claim(id, "t");
      await complete(id, "t");
    }
    assert.deepEqual(seen.sort(), ids);
    assert.deepEqual(await due(), []);
  });

  it("lists FAILED requests only, until they expire or are redriven", async () => {
    await start("completed", "t");
    await complete("completed", "t");
    await create("cancelled");
    await cancel("cancelled");
    await create("waiting");
    for (const id of ["f1", "f2", "f3"]) {
      await start(id, "t", { owner: "ada" });
      await fail(id, "t");
    }
    const failed = async () => (await collect(store().listFailed())).sort((a, b) => (a.id < b.id ? -1 : 1));
    assert.deepEqual(idsOf(await failed()), ["f1", "f2", "f3"]);
    assert.deepEqual((await failed())[0], await store().get(key("f1")));
    await store().redrive(key("f2"), underTest.now());
    assert.deepEqual(idsOf(await failed()), ["f1", "f3"]);
    underTest.advance(60 * MINUTE);
    assert.deepEqual(await failed(), []);
  });

  it("lists requests that are not final, if it can list them", async () => {
    if (store().listOpen === undefined) return;
    await start("completed", "t");
    await complete("completed", "t");
    await create("cancelled");
    await cancel("cancelled");
    await start("failed", "t");
    await fail("failed", "t");
    await create("delayed", { dueAt: underTest.now() + MINUTE });
    await start("running", "t");
    await create("waiting", { owner: "bob" });
    const open = await collect(store().listOpen!());
    assert.deepEqual(idsOf(open).sort(), ["delayed", "running", "waiting"]);
    const running = open.find(({ id }) => id === "running");
    assert.deepEqual(running, await store().get(key("running")));
  });

  async function pages(owner: string, limit: number): Promise<string[][]> {
    const found: string[][] = [];
    for (let after: string | undefined; ; ) {
      const page = await store().list(owner, { limit, after });
      found.push(idsOf(page.requests));
      if (page.next === undefined) return found;
      after = page.next;
    }
  }
}
