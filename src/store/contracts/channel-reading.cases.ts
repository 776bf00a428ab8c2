import assert from "node:assert/strict";
import { type ChannelHistory, IDEMPOTENCY_WINDOW_MS } from "./channel-history.ts";
import {
  type ChannelStoreUnderTest,
  type CreateChannelStore,
  historyDriver,
  ids,
  MINUTE,
  offsets,
  RETENTION,
} from "./channel-store-under-test.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** Defines a test for every guarantee of `ChannelHistory` about reads. */
export function historyReadingCases(runner: TestRunner, create: CreateChannelStore): void {
  let underTest: ChannelStoreUnderTest;
  let history: ChannelHistory;
  const { append, read, fill } = historyDriver(() => underTest);

  const it = withSetUp(runner.it, async () => {
    underTest = await create();
    history = underTest.store.history;
  });

  runner.describe("reading", () => {
    it("returns the newest messages, and those after, before and between offsets", async () => {
      await fill("a", 9);
      assert.deepEqual(offsets(await read("a", { limit: 3 })), [7, 8, 9]);
      assert.deepEqual(offsets(await read("a", { limit: 3, after: 2 })), [3, 4, 5]);
      assert.deepEqual(offsets(await read("a", { limit: 3, before: 5 })), [2, 3, 4]);
      assert.deepEqual(offsets(await read("a", { limit: 3, after: 2, before: 5 })), [3, 4]);
      assert.deepEqual(offsets(await read("a", { limit: 3, after: 2, before: 9 })), [3, 4, 5]);
      assert.equal(offsets(await read("a", { limit: 1_000, after: 0 })).length, 9);
    });

    it("returns whether there are more messages in the direction of the query", async () => {
      await fill("a", 5);
      assert.equal((await read("a", { limit: 4 })).more, true);
      assert.equal((await read("a", { limit: 5 })).more, false);
      assert.equal((await read("a", { limit: 2, after: 2 })).more, true);
      assert.equal((await read("a", { limit: 2, after: 3 })).more, false);
      assert.equal((await read("a", { limit: 2, before: 4 })).more, true);
      assert.equal((await read("a", { limit: 2, before: 3 })).more, false);
      assert.equal((await read("a", { limit: 2, after: 1, before: 5 })).more, true);
      assert.equal((await read("a", { limit: 3, after: 1, before: 5 })).more, false);
    });

    it("returns the head without messages for an empty range", async () => {
      await fill("a", 2);
      const { head } = await read("a");
      for (const query of [
        { after: 2 },
        { after: 99 },
        { before: 1 },
        { before: 0 },
        { after: 1, before: 2 },
      ]) {
        assert.deepEqual(await read("a", query), { head, messages: [], more: false });
      }
    });

    for (const limit of [1, 4, 25, 100]) {
      it(`pages in both directions by ${limit}, with each message once`, async () => {
        await fill("a", 25);
        const all = Array.from({ length: 25 }, (_, n) => n + 1);
        const forward: number[] = [];
        for (let more = true; more; ) {
          const page = await read("a", { limit, after: forward.at(-1) ?? 0 });
          forward.push(...offsets(page));
          more = page.more;
        }
        assert.deepEqual(forward, all);
        const back: number[] = [];
        for (let more = true; more; ) {
          const page = await read("a", { limit, ...(back.length === 0 ? {} : { before: back[0]! }) });
          back.unshift(...offsets(page));
          more = page.more;
        }
        assert.deepEqual(back, all);
      });
    }

    it("returns all earlier messages, and none past its head during concurrent appends", async () => {
      const reads: Promise<void>[] = [];
      for (let n = 1; n <= 20; n++) {
        const appending = append("a", `m${n}`);
        const readWhile = async (at: number) => {
          const page = await read("a", { after: 0 });
          assert.deepEqual(
            offsets(page),
            page.messages.map((_, index) => index + 1),
          );
          assert.ok(page.head.offset >= page.messages.length);
          assert.ok(page.messages.length >= at);
        };
        reads.push(readWhile(n - 1));
        await appending;
        reads.push(readWhile(n));
      }
      await Promise.all(reads);
    });
  });

  runner.describe("retention", () => {
    it("returns at most the size, even if more are stored", async () => {
      await fill("a", 5);
      const retention = { ...RETENTION, size: 3 };
      assert.deepEqual(offsets(await read("a", { retention })), [3, 4, 5]);
      assertMatches(await read("a", { retention, after: 0, limit: 2 }), { more: true });
      assert.deepEqual(offsets(await read("a", { retention, after: 0, limit: 2 })), [3, 4]);
      assertMatches(await read("a", { retention, before: 4 }), {
        messages: [{ offset: 3 }],
        more: false,
      });
      assert.deepEqual((await read("a", { retention: { ...RETENTION, size: 0 } })).messages, []);
    });

    it("returns messages younger than the age", async () => {
      await append("a", "old");
      underTest.advance(MINUTE);
      await append("a", "new");
      const retention = { ...RETENTION, ageMs: 2 * MINUTE };
      underTest.advance(MINUTE - 1);
      assert.deepEqual(ids(await read("a", { retention })), ["old", "new"]);
      underTest.advance(1);
      assert.deepEqual(ids(await read("a", { retention })), ["new"]);
      assert.deepEqual(ids(await read("a", { retention, after: 0 })), ["new"]);
      assertMatches(await read("a", { retention, before: 2 }), { messages: [], more: false });
      underTest.advance(MINUTE);
      assertMatches(await read("a", { retention }), {
        messages: [],
        more: false,
        head: { offset: 2 },
      });
    });

    it("applies size and age together", async () => {
      await fill("a", 3);
      underTest.advance(MINUTE);
      await append("a", "m4");
      assert.deepEqual(offsets(await read("a", { retention: { size: 2, ageMs: 2 * MINUTE } })), [3, 4]);
      assert.deepEqual(offsets(await read("a", { retention: { size: 2, ageMs: MINUTE } })), [4]);
    });

    it("leaves no gaps when clocks differ", async () => {
      const start = underTest.now();
      for (const late of [20, 10, 20, 0, 30]) await append("a", `m${late}`, { at: start + late });
      for (const age of [0, 5, 15, 25, 30]) {
        const kept = offsets(
          await read("a", { retention: { ...RETENTION, ageMs: MINUTE }, now: start + MINUTE + age }),
        );
        assert.deepEqual(kept, [1, 2, 3, 4, 5].slice(5 - kept.length));
      }
    });

    for (const [name, ahead] of [
      ["an hour", 60 * MINUTE],
      ["a year", 365 * 24 * 60 * MINUTE],
    ] as const) {
      it(`keeps a message of a publisher ${name} ahead as long as the one before it`, async () => {
        await append("a", "before");
        await append("a", "ahead", { at: underTest.now() + ahead });
        assert.deepEqual(ids(await read("a")), ["before", "ahead"]);
        assert.deepEqual(ids(await read("a", { after: 1 })), ["ahead"]);
        underTest.advance(RETENTION.ageMs - 1);
        assert.deepEqual(ids(await read("a")), ["before", "ahead"]);
        underTest.advance(1);
        assertMatches(await read("a"), { messages: [], head: { offset: 2 } });
        assert.deepEqual((await read("a", { after: 1 })).messages, []);
      });
    }

    it("keeps messages after one of a publisher a year ahead for their normal age", async () => {
      await append("a", "before");
      await append("a", "ahead", { at: underTest.now() + 365 * 24 * 60 * MINUTE });
      underTest.advance(MINUTE);
      await append("a", "behind");
      await append("a", "last");
      assert.deepEqual(ids(await read("a")), ["before", "ahead", "behind", "last"]);
      assert.deepEqual(ids(await read("a", { after: 2 })), ["behind", "last"]);
      underTest.advance(RETENTION.ageMs - MINUTE);
      assert.deepEqual(ids(await read("a")), ["behind", "last"]);
      assert.deepEqual(ids(await read("a", { after: 0 })), ["behind", "last"]);
      underTest.advance(MINUTE);
      assertMatches(await read("a"), { messages: [], head: { offset: 4 } });
      await append("a", "new");
      assert.deepEqual(ids(await read("a")), ["new"]);
    });

    it("ignores the date of a publication that took longer than the age", async () => {
      const retention = { size: 100, ageMs: 700 };
      const late = { at: underTest.now() - 5_000 };
      for (let n = 0; n < 3; n++) await append("a", `m${n}`, {}, retention);
      for (let n = 0; n < 130; n++) await append(`late-${n % 2}`, `late${n}`, late, retention);
      await append("a", "late", late, retention);
      const seen = await read("a", { retention, after: 0, now: underTest.now() - 1_000 });
      assert.deepEqual(ids(seen), ["m0", "m1", "m2", "late"]);
      assert.deepEqual(ids(await read("a", { retention, after: 0 })).slice(0, 3), ["m0", "m1", "m2"]);
    });

    it("does not apply the clock of a publisher a year ahead to other messages", async () => {
      await fill("a", 3);
      await fill("b", 3);
      for (let n = 0; n < 200; n++) {
        await append(`c-${n % 4}`, `m${n}`, { at: underTest.now() + 365 * 24 * 60 * MINUTE });
      }
      await append("a", "m4", { at: underTest.now() + 365 * 24 * 60 * MINUTE });
      assert.deepEqual(ids(await read("a")), ["m1", "m2", "m3", "m4"]);
      assert.deepEqual(ids(await read("b")), ["m1", "m2", "m3"]);
    });

    it("never evicts the head of a silent channel", async () => {
      const retention = { size: 2, ageMs: MINUTE };
      await fill("a", 7, retention);
      const head = await history.readHead("a");
      underTest.advance(400 * 24 * 60 * MINUTE);
      for (let n = 0; n < 100; n++) await append(`other-${n % 3}`, `m${n}`, {}, retention);
      assert.deepEqual(await history.readHead("a"), head);
      assert.deepEqual(await read("a", { retention }), { head, messages: [], more: false });
      assertMatches(await append("a", "m8", {}, retention), {
        epoch: head.epoch,
        message: { offset: 8 },
      });
    });
  });

  runner.describe("an idle channel", () => {
    const retention = { size: 2, ageMs: MINUTE };
    const member = {
      connectionId: "c1",
      endpoint: "https://api.example.com/test",
      joinedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
    };

    /** Appends a message and marks it as delivered. */
    const deliver = async (channel: string, count: number) => {
      for (let n = 0; n < count; n++) {
        const { message: stored } = await append(
          channel,
          `${channel}-${underTest.now()}-${n}`,
          {},
          retention,
        );
        await history.markDelivered(channel, stored.offset);
      }
    };

    it("keeps its epoch, or starts another one", async () => {
      const epochs = new Set<string>();
      for (let round = 0; round < 3; round++) {
        await deliver("a", 3);
        const before = await history.readHead("a");
        underTest.advance(400 * 24 * 60 * MINUTE);
        await deliver("other", 130);
        const after = await history.readHead("a");
        if (after.epoch === before.epoch) assert.deepEqual(after, before);
        else {
          assert.ok(!epochs.has(after.epoch));
          assert.equal(after.offset, 0);
        }
        epochs.add(before.epoch);
        assert.deepEqual(await read("a", { retention }), { head: after, messages: [], more: false });
      }
    });

    it("keeps its epoch while it has a member, and for its idle time after the last one left", async () => {
      await deliver("a", 3);
      const head = await history.readHead("a");
      await underTest.store.members.add("a", member);
      underTest.advance(400 * 24 * 60 * MINUTE);
      await deliver("other", 130);
      await underTest.store.members.remove("a", "c1");
      underTest.advance(IDEMPOTENCY_WINDOW_MS - 1);
      await deliver("other", 130);
      assert.deepEqual(await history.readHead("a"), head);
    });

    it("keeps its epoch while a message is not delivered", async () => {
      await deliver("a", 3);
      await append("a", "pending", {}, retention);
      const head = await history.readHead("a");
      underTest.advance(400 * 24 * 60 * MINUTE);
      await deliver("other", 130);
      assert.deepEqual(await history.readHead("a"), head);
    });
  });
}
