import assert from "node:assert/strict";
import {
  AWKWARD_JSON,
  AWKWARD_KEYS,
  type CreateRequestStore,
  FAILURE,
  LEASE_MS,
  MINUTE,
  type RequestStoreUnderTest,
  requestDriver,
} from "./request-store-under-test.ts";
import type { NewRequest, RequestState } from "./requests.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** The creation of requests, and the transitions of their states. */
export function requestStateCases(runner: TestRunner, createStore: CreateRequestStore): void {
  let underTest: RequestStoreUnderTest;
  const it = withSetUp(runner.it, async () => {
    underTest = await createStore();
  });
  const store = () => underTest.store;
  const { key, request, create, claim, start, item, append, finish, complete, fail, cancel, stateOf, lease } =
    requestDriver(() => underTest);
  const { takeOver, readAll, due, expiresAt } = requestDriver(() => underTest);

  it("stores every field of a request", async () => {
    const full = request("r1", {
      input: { nested: [1, { on: true }] },
      identity: { userId: "ada", claims: { groups: ["x"], ["__proto__"]: null } },
      requester: { connectionId: "c1", endpoint: "https://api.example.com/test" },
      priority: -7,
    });
    const { input: _, ...rest } = full;
    const stored = { ...rest, state: "PENDING", attempt: 0, updatedAt: full.createdAt };
    assert.deepEqual(await store().create(full), { outcome: "created", request: stored });
    assert.deepEqual(await store().get(key("r1")), stored);
  });

  it("has no request before it is created", async () => {
    await create("r1");
    assert.equal(await store().get(key("r2")), undefined);
    assert.equal(await store().get(key("r1", "bob")), undefined);
    assert.equal(await claim("r2", "t1"), undefined);
    assert.equal(await cancel("r2"), undefined);
    assert.equal(await store().redrive(key("r2"), underTest.now()), undefined);
    assert.equal(await store().readResult(key("r2")), undefined);
    assert.deepEqual(await readAll("r2"), {
      head: { offset: 0, chunks: 0, bytes: 0 },
      items: [],
      more: false,
    });
    for (const write of workerWrites("r2", "t1")) assert.equal(await write(), false);
  });

  it("finds the stored request when it is created again, whatever its other fields are", async () => {
    const first = await create("r1", { input: { a: 1, b: { c: [2], d: 3 } } });
    underTest.advance(MINUTE);
    const overrides = { tenant: "other", priority: 9, identity: {}, input: { b: { d: 3, c: [2] }, a: 1 } };
    assert.deepEqual(await create("r1", overrides), { outcome: "exists", request: first.request });
    assert.deepEqual(await store().get(key("r1")), first.request);
  });

  it("reports a conflict for another action or input, and keeps the request", async () => {
    const { request: stored } = await create("r1");
    await create("r2", { input: [1, 2] });
    assertMatches(await create("r2", { input: [2, 1] }), { outcome: "conflict" });
    const others: Partial<NewRequest>[] = [{ action: "other" }, { input: { pages: 4 } }, { input: null }];
    for (const other of others) {
      assert.deepEqual(await create("r1", other), { outcome: "conflict", request: stored });
    }
    assert.deepEqual((await claim("r1", "t1"))?.input, { pages: 3 });
  });

  const finals: readonly [RequestState, () => Promise<unknown>][] = [
    ["COMPLETED", () => complete("r1", "t1")],
    ["FAILED", () => fail("r1", "t1")],
    ["CANCELLED", () => cancel("r1")],
  ];
  for (const [state, end] of finals) {
    it(`finds a ${state} request when it is created again, or reports the conflict`, async () => {
      await start("r1", "t1");
      await end();
      assertMatches(await create("r1"), { outcome: "exists", request: { state } });
      assertMatches(await create("r1", { input: 1 }), { outcome: "conflict", request: { state } });
    });

    it(`keeps a ${state} request in its state`, async () => {
      await start("r1", "t1");
      await end();
      const stored = await store().get(key("r1"));
      assertMatches(stored, { state });
      underTest.advance(2 * LEASE_MS);
      assert.equal(await claim("r1", "t2"), undefined);
      assert.deepEqual(await cancel("r1"), stored);
      assert.equal(await store().renew(lease("r1", "t1"), { leaseUntil: underTest.now() }), false);
      const others = finals.filter(([other]) => other !== state && other !== "CANCELLED");
      for (const [, endOtherwise] of others) assert.equal(await endOtherwise(), false);
      const retry = { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() } as const;
      assert.equal(await finish("r1", "t1", retry), false);
      assert.equal(await finish("r1", "t1", { state: "PENDING" }), false);
      assert.deepEqual(await store().get(key("r1")), stored);
      assert.deepEqual(await due(), []);
    });
  }

  it("claims a request as it creates it, unless other processes may claim it", async () => {
    const leaseUntil = underTest.now() + LEASE_MS;
    const created = await store().create(request("r1"), undefined, { token: "t1", leaseUntil });
    assertMatches(created, { outcome: "created" });
    if (store().listOpen === undefined) {
      assertMatches(created.request, { state: "PENDING", attempt: 0 });
      return;
    }
    assert.equal(created.isClaimed, true);
    assertMatches(created.request, { state: "PROCESSING", attempt: 1, leaseUntil });
    assert.deepEqual(await store().get(key("r1")), created.request);
    assert.deepEqual(await due(), []);
    assert.equal(await claim("r1", "t2"), undefined);
    // The worker may repeat the claim.
    assert.deepEqual(await store().claim(lease("r1", "t1"), { now: underTest.now(), leaseUntil }), {
      request: created.request,
      input: { pages: 3 },
      checkpoint: undefined,
      output: { offset: 0, chunks: 0, bytes: 0 },
    });
    assert.equal(await append("r1", "t1", item(1, "a")), true);
    assert.equal(await complete("r1", "t1"), true);
  });

  it("claims no request that is delayed, was created before, or is another one", async () => {
    const first = { token: "t1", leaseUntil: underTest.now() + LEASE_MS };
    await create("r1");
    const again = await store().create(request("r1"), undefined, first);
    const other = await store().create(request("r1", { input: 1 }), undefined, first);
    const delayed = request("r2", { dueAt: underTest.now() + 1 });
    const later = await store().create(delayed, undefined, first);
    for (const { isClaimed = false, request: stored } of [again, other, later]) {
      assert.equal(isClaimed, false);
      assertMatches(stored, { state: "PENDING", attempt: 0 });
    }
    assertMatches(await store().get(key("r1")), { state: "PENDING" });
    assertMatches(await store().get(key("r2")), { state: "PENDING" });
  });

  it("creates a request once when it is created concurrently", async () => {
    const inputs = [1, 2, 1, 2, 1, 2];
    const results = await Promise.all(inputs.map((input) => create("r1", { input })));
    const claimed = await claim("r1", "t1");
    const outcomes = results.map(({ outcome }, at) => [inputs[at] === claimed?.input, outcome]);
    assert.equal(outcomes.filter(([, outcome]) => outcome === "created").length, 1);
    for (const [same, outcome] of outcomes) assert.equal(outcome === "conflict", !same);
  });

  it("separates requests by owner and id, with any names", async () => {
    for (const { owner, id } of AWKWARD_KEYS) {
      assertMatches(await create(id, { owner, input: [owner, id] }), { outcome: "created" });
    }
    for (const { owner, id } of AWKWARD_KEYS) {
      assertMatches(await store().get({ owner, id }), { owner, id, state: "PENDING" });
      assertMatches(await claim(id, "t", owner), { request: { owner, id }, input: [owner, id] });
      const written = { offset: 1, data: { values: [owner, id] }, chunks: 1, bytes: 9, at: underTest.now() };
      assert.equal(await store().append(lease(id, "t", owner), written), true);
    }
    for (const { owner, id } of AWKWARD_KEYS) {
      const { items } = await store().readOutput({ owner, id }, { after: 0, limit: 10 });
      assertMatches(items, [{ data: { values: [owner, id] } }]);
    }
  });

  for (const [n, value] of AWKWARD_JSON.entries()) {
    it(`keeps inputs, checkpoints and results as they are (${n + 1})`, async () => {
      assert.deepEqual((await start("r1", "t1", { input: value })).input, value);
      assert.equal(await store().saveCheckpoint(lease("r1", "t1"), value), true);
      const claimed = await takeOver("r1", "t2");
      assert.deepEqual([claimed.input, claimed.checkpoint], [value, value]);
      await complete("r1", "t2", value);
      assert.deepEqual(await store().readResult(key("r1")), { result: value });
    });
  }

  it("keeps nothing that its caller changes later", async () => {
    const input = { list: [1] };
    await create("r1", { input });
    input.list.push(2);
    const claimed = await claim("r1", "t1");
    assert.deepEqual(claimed?.input, { list: [1] });
    const checkpoint = { list: [1] };
    await store().saveCheckpoint(lease("r1", "t1"), checkpoint);
    checkpoint.list.push(2);
    assert.deepEqual((await takeOver("r1", "t2")).checkpoint, { list: [1] });
  });

  it("completes a request, whose result can be read", async () => {
    await start("r1", "t1");
    assert.equal(await store().readResult(key("r1")), undefined);
    underTest.advance(5);
    assert.equal(await complete("r1", "t1", { pages: [1] }), true);
    const stored = await store().get(key("r1"));
    assertMatches(stored, { state: "COMPLETED", attempt: 1, updatedAt: underTest.now() });
    assert.equal(stored?.leaseUntil, undefined);
    assert.equal(stored?.failure, undefined);
    assert.deepEqual(await store().readResult(key("r1")), { result: { pages: [1] } });
  });

  it("fails a request, with the failure and without a result", async () => {
    await start("r1", "t1");
    assert.equal(await fail("r1", "t1"), true);
    const stored = await store().get(key("r1"));
    assertMatches(stored, { state: "FAILED", attempt: 1 });
    assert.deepEqual(stored?.failure, FAILURE);
    assert.equal(stored?.leaseUntil, undefined);
    assert.equal(await store().readResult(key("r1")), undefined);
  });

  it("retries a request when it is due, with its checkpoint, and not before", async () => {
    await start("r1", "t1");
    await store().saveCheckpoint(lease("r1", "t1"), { done: 2 });
    const dueAt = underTest.now() + MINUTE;
    assert.equal(await finish("r1", "t1", { state: "RETRYING", failure: FAILURE, dueAt }), true);
    assertMatches(await store().get(key("r1")), { state: "RETRYING", attempt: 1, dueAt, failure: FAILURE });
    underTest.advance(MINUTE - 1);
    assert.deepEqual(await due(), []);
    assert.equal(await claim("r1", "t2"), undefined);
    underTest.advance(1);
    assert.deepEqual(await due(), ["r1"]);
    const claimed = await claim("r1", "t2");
    assertMatches(claimed, { request: { state: "PROCESSING", attempt: 2 }, checkpoint: { done: 2 } });
    assert.equal(claimed?.request.failure, undefined);
  });

  it("hands a request over without counting an attempt", async () => {
    await start("r1", "t1");
    await store().saveCheckpoint(lease("r1", "t1"), { done: 2 });
    assert.equal(await finish("r1", "t1", { state: "PENDING" }), true);
    assertMatches(await store().get(key("r1")), { state: "PENDING" });
    assert.deepEqual(await due(), ["r1"]);
    assertMatches(await claim("r1", "t2"), { request: { attempt: 1 }, checkpoint: { done: 2 } });
    underTest.advance(LEASE_MS);
    assertMatches(await claim("r1", "t3"), { request: { attempt: 2 } });
  });

  it("accepts a repeated finish of the same worker", async () => {
    await start("r1", "t1");
    const retry = { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() } as const;
    for (let n = 0; n < 2; n++) assert.equal(await finish("r1", "t1", retry), true);
    await claim("r1", "t2");
    assert.equal(await finish("r1", "t1", retry), false);
    for (let n = 0; n < 2; n++) assert.equal(await finish("r1", "t2", { state: "PENDING" }), true);
    assertMatches(await claim("r1", "t3"), { request: { attempt: 2 } });
    for (let n = 0; n < 2; n++) assert.equal(await complete("r1", "t3", "first"), true);
    assert.deepEqual(await store().readResult(key("r1")), { result: "first" });
  });

  it("lets exactly one of concurrent ends win", async () => {
    for (let n = 0; n < 9; n++) {
      const id = `r${n}`;
      await start(id, "t1");
      const calls = [() => complete(id, "t1"), () => cancel(id), () => fail(id, "t1")] as const;
      // Each of them is the first one sometimes.
      const asked = [0, 1, 2].map((at) => (at + n) % 3).map((at) => [at, calls[at]!()] as const);
      const [completed, cancelled, failed] = await Promise.all(
        [0, 1, 2].map((at) => asked.find(([call]) => call === at)?.[1]),
      );
      const state = completed ? "COMPLETED" : failed ? "FAILED" : "CANCELLED";
      assert.ok(!(completed && failed));
      assertMatches(cancelled, { state });
      assert.equal(await stateOf(id), state);
      assert.equal((await store().readResult(key(id))) !== undefined, completed);
    }
  });

  const starts: readonly [string, () => Promise<unknown>][] = [
    ["PENDING", () => create("r1")],
    ["delayed", () => create("r1", { dueAt: underTest.now() + MINUTE })],
    ["PROCESSING", () => start("r1", "t1")],
    [
      "RETRYING",
      async () => {
        await start("r1", "t1");
        await finish("r1", "t1", { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() });
      },
    ],
  ];
  for (const [state, arrange] of starts) {
    it(`cancels a ${state} request, whose worker can write nothing from then on`, async () => {
      await arrange();
      const { offset } = (await readAll("r1")).head;
      underTest.advance(5);
      const cancelled = await cancel("r1");
      assertMatches(cancelled, { state: "CANCELLED", updatedAt: underTest.now() });
      assert.deepEqual([cancelled?.failure, cancelled?.leaseUntil], [undefined, undefined]);
      assert.deepEqual(await store().get(key("r1")), cancelled);
      for (const write of workerWrites("r1", "t1", offset)) assert.equal(await write(), false);
      underTest.advance(2 * MINUTE);
      assert.equal(await claim("r1", "t2"), undefined);
      assert.deepEqual(await due(), []);
      assert.deepEqual(await cancel("r1"), cancelled);
    });
  }

  it("redrives a FAILED request, with its checkpoint and output, and without attempts", async () => {
    await start("r1", "t1");
    await store().saveCheckpoint(lease("r1", "t1"), { done: 2 });
    await append("r1", "t1", item(1, "one", 4));
    await fail("r1", "t1");
    underTest.advance(5);
    const redriven = await store().redrive(key("r1"), underTest.now());
    assertMatches(redriven, { state: "PENDING", attempt: 0, updatedAt: underTest.now() });
    assert.equal(redriven?.failure, undefined);
    assert.deepEqual(await store().get(key("r1")), redriven);
    assert.equal(await fail("r1", "t1"), false);
    assert.equal(await finish("r1", "t1", { state: "PENDING" }), false);
    assert.deepEqual(await due(), ["r1"]);
    const claimed = await claim("r1", "t2");
    assertMatches(claimed, {
      request: { attempt: 1 },
      input: { pages: 3 },
      checkpoint: { done: 2 },
      output: { chunks: 4, bytes: 40 },
    });
    const { offset } = claimed!.output;
    assert.equal(await append("r1", "t2", item(offset + 1, "two", 5)), true);
    underTest.advance(61 * MINUTE);
    assert.equal(await stateOf("r1"), "PROCESSING");
  });

  it("redrives FAILED requests only, and each once", async () => {
    await create("r1");
    const redrive = () => store().redrive(key("r1"), underTest.now());
    assert.equal(await redrive(), undefined);
    await claim("r1", "t1");
    assert.equal(await redrive(), undefined);
    await fail("r1", "t1");
    const redriven = await Promise.all([redrive(), redrive(), redrive()]);
    assert.equal(redriven.filter((each) => each !== undefined).length, 1);
    await claim("r1", "t2");
    await complete("r1", "t2");
    assert.equal(await redrive(), undefined);
    await create("r2");
    await cancel("r2");
    assert.equal(await store().redrive(key("r2"), underTest.now()), undefined);
  });

  for (const [state, end] of finals) {
    it(`forgets a ${state} request when it expires, with its result and output`, async () => {
      await start("r1", "t1");
      await append("r1", "t1", item(1, "one"));
      await end();
      const remaining = expiresAt() - underTest.now();
      underTest.advance(remaining - 1);
      assert.equal(await stateOf("r1"), state);
      underTest.advance(1);
      assert.deepEqual((await store().list("ada", { limit: 10 })).requests, []);
      assert.equal(await store().get(key("r1")), undefined);
      assert.equal(await store().readResult(key("r1")), undefined);
      assertMatches(await readAll("r1"), { head: { offset: 0, chunks: 0, bytes: 0 }, items: [] });
      assert.equal(await cancel("r1"), undefined);
      assert.equal(await store().redrive(key("r1"), underTest.now()), undefined);
      assertMatches(await create("r1", { input: "another" }), {
        outcome: "created",
        request: { state: "PENDING", attempt: 0 },
      });
      const again = await claim("r1", "t2");
      assert.deepEqual([again?.input, again?.checkpoint, again?.output.chunks], ["another", undefined, 0]);
      assert.equal(await store().readResult(key("r1")), undefined);
    });
  }

  it("never forgets a request that is not final", async () => {
    await create("r1");
    await start("r2", "t1");
    underTest.advance(1_000 * 24 * 60 * MINUTE);
    assert.deepEqual([await stateOf("r1"), await stateOf("r2")], ["PENDING", "PROCESSING"]);
  });

  /** Every call of a worker that writes. @param offset of the output's last item */
  function workerWrites(id: string, token: string, offset = 0): (() => Promise<boolean>)[] {
    return [
      () => store().renew(lease(id, token), { leaseUntil: underTest.now() + MINUTE }),
      () => store().saveCheckpoint(lease(id, token), "late"),
      () => append(id, token, item(offset + 1, "late")),
      () => complete(id, token),
      () => fail(id, token),
      () => finish(id, token, { state: "PENDING" }),
    ];
  }
}
