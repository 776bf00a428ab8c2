import assert from "node:assert/strict";
import {
  type CreateRequestStore,
  FAILURE,
  LEASE_MS,
  MINUTE,
  type RequestStoreUnderTest,
  requestDriver,
} from "./request-store-under-test.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** Claims, leases and the output that a worker writes under one. */
export function requestLeaseCases(runner: TestRunner, createStore: CreateRequestStore): void {
  let underTest: RequestStoreUnderTest;
  const it = withSetUp(runner.it, async () => {
    underTest = await createStore();
  });
  const store = () => underTest.store;
  const { key, create, claim, start, takeOver, item, append, finish, complete, fail, cancel, lease } =
    requestDriver(() => underTest);
  const { stateOf, readAll, texts, due } = requestDriver(() => underTest);

  it("claims a request that is due, with its input", async () => {
    await create("r1");
    underTest.advance(5);
    const claimed = await claim("r1", "t1");
    const leaseUntil = underTest.now() + LEASE_MS;
    const expected = { state: "PROCESSING", attempt: 1, updatedAt: underTest.now(), leaseUntil };
    assertMatches(claimed, {
      request: expected,
      input: { pages: 3 },
      output: { offset: 0, chunks: 0, bytes: 0 },
    });
    assert.equal(claimed?.checkpoint, undefined);
    assert.deepEqual(await store().get(key("r1")), claimed?.request);
  });

  it("claims a delayed request when it is due, and not before", async () => {
    await create("r1", { dueAt: underTest.now() + MINUTE });
    underTest.advance(MINUTE - 1);
    assert.equal(await claim("r1", "t1"), undefined);
    assert.equal(await stateOf("r1"), "PENDING");
    underTest.advance(1);
    assertMatches(await claim("r1", "t1"), { request: { state: "PROCESSING" } });
  });

  it("lets one of many concurrent claims win", async () => {
    await create("r1");
    const tokens = Array.from({ length: 20 }, (_, n) => `t${n}`);
    const claims = await Promise.all(tokens.map((token) => claim("r1", token)));
    const winners = tokens.filter((_, n) => claims[n] !== undefined);
    assert.equal(winners.length, 1);
    for (const token of tokens) {
      const valid = await store().renew(lease("r1", token), { leaseUntil: underTest.now() + LEASE_MS });
      assert.equal(valid, token === winners[0]);
    }
    assertMatches(await store().get(key("r1")), { attempt: 1 });
  });

  it("lets one of many concurrent take-overs win", async () => {
    await start("r1", "t0");
    underTest.advance(LEASE_MS);
    const claims = await Promise.all(Array.from({ length: 20 }, (_, n) => claim("r1", `t${n + 1}`)));
    assert.equal(claims.filter((each) => each !== undefined).length, 1);
    assertMatches(await store().get(key("r1")), { attempt: 2 });
  });

  it("accepts a repeated claim of the same worker, and counts it once", async () => {
    await start("r1", "t1");
    underTest.advance(5);
    const again = await claim("r1", "t1");
    const leaseUntil = underTest.now() + LEASE_MS;
    assertMatches(again, { request: { state: "PROCESSING", attempt: 1, leaseUntil }, input: { pages: 3 } });
    const { offset } = again!.output;
    assert.equal(await append("r1", "t1", item(offset + 1, "one")), true);
  });

  it("lets another worker take over after the lease, and not before", async () => {
    await start("r1", "t1");
    underTest.advance(LEASE_MS - 1);
    assert.deepEqual(await due(), []);
    assert.equal(await claim("r1", "t2"), undefined);
    underTest.advance(1);
    assert.deepEqual(await due(), ["r1"]);
    assertMatches(await claim("r1", "t2"), { request: { state: "PROCESSING", attempt: 2 } });
  });

  it("extends a lease that is renewed, from then on", async () => {
    await start("r1", "t1");
    underTest.advance(LEASE_MS - 1);
    const leaseUntil = underTest.now() + MINUTE;
    const before = await store().get(key("r1"));
    assert.equal(await store().renew(lease("r1", "t1"), { leaseUntil }), true);
    assert.deepEqual(await store().get(key("r1")), { ...before, leaseUntil });
    underTest.advance(MINUTE - 1);
    assert.deepEqual(await due(), []);
    assert.equal(await claim("r1", "t2"), undefined);
    underTest.advance(1);
    assert.deepEqual(await due(), ["r1"]);
  });

  it("keeps a lease valid until it is taken over, also after its time", async () => {
    await start("r1", "t1");
    underTest.advance(2 * LEASE_MS);
    const leaseUntil = underTest.now() + LEASE_MS;
    assert.equal(await store().renew(lease("r1", "t1"), { leaseUntil }), true);
    assert.equal(await claim("r1", "t2"), undefined);
    assert.equal(await complete("r1", "t1"), true);
  });

  it("stores the last progress, and keeps it when a renewal has none", async () => {
    await start("r1", "t1");
    const renew = (progress?: { percentage: number; message?: string; details?: null }) =>
      store().renew(lease("r1", "t1"), {
        leaseUntil: underTest.now() + LEASE_MS,
        ...(progress === undefined ? {} : { progress }),
      });
    await renew({ percentage: 10.5, message: "\u00e9 \uD83D", details: null });
    await renew();
    const expected = { percentage: 10.5, message: "\u00e9 \uD83D", details: null };
    assert.deepEqual((await store().get(key("r1")))?.progress, expected);
    await renew({ percentage: 100 });
    assert.deepEqual((await store().get(key("r1")))?.progress, { percentage: 100 });
    await complete("r1", "t1");
    assert.deepEqual((await store().get(key("r1")))?.progress, { percentage: 100 });
  });

  it("stores the last progress with each outcome", async () => {
    const progress = { percentage: 60, message: "\u00e9", details: [1] };
    const at = { dueAt: underTest.now(), expiresAt: underTest.now() + MINUTE };
    const outcomes = [
      { state: "PENDING", progress },
      { state: "RETRYING", failure: FAILURE, dueAt: at.dueAt, progress },
      { state: "FAILED", failure: FAILURE, expiresAt: at.expiresAt, progress },
      { state: "COMPLETED", result: "x".repeat(280), expiresAt: at.expiresAt, progress },
    ] as const;
    for (const outcome of outcomes) {
      await start(outcome.state, "t1");
      await store().renew(lease(outcome.state, "t1"), {
        leaseUntil: at.expiresAt,
        progress: { percentage: 5 },
      });
      assert.equal(await finish(outcome.state, "t1", outcome), true);
      assertMatches(await store().get(key(outcome.state)), { state: outcome.state, progress });
    }
    assert.deepEqual(await store().readResult(key("COMPLETED")), { result: "x".repeat(280) });
  });

  it("replaces the checkpoint, which each later worker gets", async () => {
    await start("r1", "t1");
    for (const checkpoint of [{ done: 1 }, null, { done: 2 }]) {
      assert.equal(await store().saveCheckpoint(lease("r1", "t1"), checkpoint), true);
    }
    assert.deepEqual((await takeOver("r1", "t2")).checkpoint, { done: 2 });
    assert.equal(await store().saveCheckpoint(lease("r1", "t2"), null), true);
    assert.deepEqual((await takeOver("r1", "t3")).checkpoint, null);
  });

  it("lets an earlier worker change nothing after a take-over", async () => {
    await start("r1", "t1");
    await store().saveCheckpoint(lease("r1", "t1"), "early");
    await append("r1", "t1", item(1, "one"));
    const { output } = await takeOver("r1", "t2");
    assertMatches(output, { chunks: 1, bytes: 10 });
    const before = await store().get(key("r1"));
    for (const token of ["t1", "never"]) {
      const stale = lease("r1", token);
      const progress = { percentage: 1 };
      assert.equal(await store().renew(stale, { leaseUntil: underTest.now() + MINUTE, progress }), false);
      assert.equal(await store().saveCheckpoint(stale, "late"), false);
      for (const offset of [1, 2, output.offset, output.offset + 1]) {
        assert.equal(await store().append(stale, item(offset, "late")), false);
      }
      assert.equal(await complete("r1", token), false);
      assert.equal(await fail("r1", token), false);
      const retry = { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() } as const;
      assert.equal(await finish("r1", token, retry), false);
      assert.equal(await finish("r1", token, { state: "PENDING" }), false);
      assert.equal(await claim("r1", token), undefined);
    }
    assert.deepEqual(await store().get(key("r1")), before);
    assert.deepEqual(await texts("r1"), ["one"]);
    assert.deepEqual((await takeOver("r1", "t3")).checkpoint, "early");
    assert.equal(await complete("r1", "t3", "third"), true);
    assert.equal(await complete("r1", "t1", "first"), false);
    assert.deepEqual(await store().readResult(key("r1")), { result: "third" });
  });

  it("appends to an output item by item", async () => {
    await start("r1", "t1");
    const items = [
      item(1, "\u00e9\uD83D\u0000", 2),
      {
        offset: 2,
        data: { values: [null, { ["__proto__"]: 1 }, [2.5]] },
        chunks: 5,
        bytes: 50,
        at: underTest.now(),
      },
      item(3, "", 6),
    ];
    for (const each of items) assert.equal(await append("r1", "t1", each), true);
    assert.deepEqual(await readAll("r1"), { head: { offset: 3, chunks: 6, bytes: 60 }, items, more: false });
  });

  it("appends the next item only", async () => {
    await start("r1", "t1");
    await append("r1", "t1", item(1, "one"));
    for (const offset of [0, 3, 4, -1]) assert.equal(await append("r1", "t1", item(offset, "other")), false);
    assert.equal(await append("r1", "t1", item(1, "other")), false);
    assert.deepEqual(await texts("r1"), ["one"]);
    assert.equal(await append("r1", "t1", item(2, "two")), true);
  });

  it("accepts a repeated append of the last item", async () => {
    await start("r1", "t1");
    for (let n = 0; n < 2; n++) assert.equal(await append("r1", "t1", item(1, "one")), true);
    assert.equal(await append("r1", "t1", item(2, "two")), true);
    assert.equal(await append("r1", "t1", item(2, "two")), true);
    assert.deepEqual(await texts("r1"), ["one", "two"]);
    assertMatches(await readAll("r1"), { head: { offset: 2, chunks: 2, bytes: 20 } });
  });

  it("stores one of concurrent appends of different workers", async () => {
    await start("r1", "t1");
    await append("r1", "t1", item(1, "one"));
    underTest.advance(LEASE_MS);
    const next = item(2, "earlier");
    const [stored, claimed] = await Promise.all([append("r1", "t1", next), claim("r1", "t2")]);
    const { offset, chunks } = claimed!.output;
    assert.equal(await append("r1", "t2", item(offset + 1, "later", chunks + 1)), true);
    assert.deepEqual(await texts("r1"), stored ? ["one", "earlier", "later"] : ["one", "later"]);
    assert.equal(chunks, stored ? 2 : 1);
    await assertNoGap("r1");
  });

  it("continues an output after take-overs, retries and hand-overs, without a gap", async () => {
    const ends = [
      async () => underTest.advance(LEASE_MS),
      (token: string) => finish("r1", token, { state: "PENDING" }),
      (token: string) => finish("r1", token, { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() }),
    ];
    await create("r1");
    const expected: string[] = [];
    for (let n = 1; n <= 6; n++) {
      const { output } = (await claim("r1", `t${n}`))!;
      assert.equal(output.chunks, 2 * expected.length);
      expected.push(`text ${n}`);
      const next = item(output.offset + 1, `text ${n}`, 2 * expected.length);
      assert.equal(await append("r1", `t${n}`, next), true);
      await ends[n % 3]!(`t${n}`);
    }
    assert.deepEqual(await texts("r1"), expected);
    assertMatches(await readAll("r1"), { head: { chunks: 12 } });
    await assertNoGap("r1");
  });

  it("appends nothing after the attempt has ended", async () => {
    const ends: readonly ((id: string) => Promise<unknown>)[] = [
      (id) => complete(id, "t1"),
      (id) => fail(id, "t1"),
      (id) => cancel(id),
      (id) => finish(id, "t1", { state: "PENDING" }),
      (id) => finish(id, "t1", { state: "RETRYING", failure: FAILURE, dueAt: underTest.now() }),
    ];
    for (const [n, end] of ends.entries()) {
      const id = `r${n}`;
      await start(id, "t1");
      await append(id, "t1", item(1, "one"));
      await end(id);
      assert.equal(await append(id, "t1", item(2, "late")), false);
      assert.equal(await store().saveCheckpoint(lease(id, "t1"), "late"), false);
      assert.deepEqual(await texts(id), ["one"]);
    }
  });

  it("reads an output in pages, also while it grows and after its end", async () => {
    await start("r1", "t1");
    const all = Array.from({ length: 7 }, (_, n) => item(n + 1, `text ${n + 1}`));
    for (const each of all.slice(0, 5)) await append("r1", "t1", each);
    const read = (after: number, limit: number) => store().readOutput(key("r1"), { after, limit });
    const head = { offset: 5, chunks: 5, bytes: 50 };
    assert.deepEqual(await read(0, 2), { head, items: all.slice(0, 2), more: true });
    assert.deepEqual(await read(2, 3), { head, items: all.slice(2, 5), more: false });
    assert.deepEqual(await read(4, 1_000), { head, items: all.slice(4, 5), more: false });
    for (const after of [5, 6, 1e9])
      assert.deepEqual(await read(after, 10), { head, items: [], more: false });
    for (const each of all.slice(5)) await append("r1", "t1", each);
    await complete("r1", "t1");
    const end = await read(0, 1_000);
    assert.deepEqual(end.items.slice(0, 7), all);
    assert.equal(end.head.chunks, 7);
  });

  it("reads an output of many items", async () => {
    await start("r1", "t1");
    for (let n = 1; n <= 120; n++) await append("r1", "t1", item(n, "x".repeat(4_096)));
    const found: number[] = [];
    for (let more = true; more; ) {
      const page = await store().readOutput(key("r1"), { after: found.length, limit: 50 });
      assert.equal(page.head.offset, 120);
      found.push(...page.items.map(({ offset }) => offset));
      more = page.more;
    }
    assert.deepEqual(
      found,
      Array.from({ length: 120 }, (_, n) => n + 1),
    );
  });

  async function assertNoGap(id: string): Promise<void> {
    const { head, items } = await readAll(id);
    assert.deepEqual(
      items.map(({ offset }) => offset),
      Array.from({ length: head.offset }, (_, n) => n + 1),
    );
  }
}
