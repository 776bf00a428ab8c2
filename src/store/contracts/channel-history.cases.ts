import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import {
  type ChannelHistory,
  IDEMPOTENCY_WINDOW_MS,
  MAX_KEY_AHEAD_MS,
  type Position,
  type StoredMessage,
} from "./channel-history.ts";
import {
  AWKWARD_NAMES,
  type ChannelStoreCasesOptions,
  type ChannelStoreUnderTest,
  type CreateChannelStore,
  historyDriver,
  ids,
  MINUTE,
  offsets,
  RETENTION,
} from "./channel-store-under-test.ts";
import type { Json } from "./json.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** Defines a test for every guarantee of `ChannelHistory` about appends. */
export function historyCases(
  runner: TestRunner,
  create: CreateChannelStore,
  { pendingFanOutsReportedBy }: ChannelStoreCasesOptions,
): void {
  let underTest: ChannelStoreUnderTest;
  let history: ChannelHistory;
  const { message, append, read } = historyDriver(() => underTest);

  const it = withSetUp(runner.it, async () => {
    underTest = await create();
    history = underTest.store.history;
  });

  runner.describe("append", () => {
    it("assigns offsets from 1, separately per channel", async () => {
      const offsets: number[] = [];
      for (const id of ["m1", "m2", "m3"]) offsets.push((await append("a", id)).message.offset);
      assert.deepEqual(offsets, [1, 2, 3]);
      assert.equal((await append("b", "m1")).message.offset, 1);
    });

    it("assigns unique, gapless offsets to fifty concurrent appends", async () => {
      const ids = Array.from({ length: 50 }, (_, n) => `m${n}`);
      const appended = await Promise.all(ids.map((id) => append("a", id)));
      const offsets = appended.map(({ message }) => message.offset);
      assert.deepEqual(
        offsets.toSorted((a, b) => a - b),
        ids.map((_, n) => n + 1),
      );
      const page = await read("a");
      assert.equal(page.head.offset, 50);
      assert.deepEqual(
        new Map(page.messages.map(({ id, offset }) => [id, offset])),
        new Map(appended.map(({ message: { id, offset } }) => [id, offset])),
      );
    });

    it("stores every field of a message, with and without a user", async () => {
      const data: Json = {
        text: 'é\u{1F600}\u0000\uD83D"\\',
        deep: [1, 2.5, -1e300, null, true, "", { on: [] }],
        ["__proto__"]: { constructor: "own" },
        "": {},
      };
      const full = message("m1", { data, userId: 'ada"\u0000é' });
      const bare = message("m2\u{1F600}", { data: null });
      const stored: StoredMessage[] = [
        { ...full, offset: 1 },
        { ...bare, offset: 2 },
      ];
      assert.deepEqual((await history.append("a", full, RETENTION)).message, stored[0]);
      assert.deepEqual((await history.append("a", bare, RETENTION)).message, stored[1]);
      const page = await read("a");
      assert.deepEqual(page.messages, stored);
      assert.deepEqual(Object.keys(page.messages[0]!.data as object).sort(), Object.keys(data).sort());
      assert.ok(!Object.hasOwn(page.messages[1] ?? {}, "userId"));
    });

    for (const data of [null, "", "text", 0, 1.5, false, true, [], {}] satisfies Json[]) {
      it(`stores ${JSON.stringify(data)} unchanged`, async () => {
        await append("a", "m1", { data });
        assert.deepEqual(
          (await read("a")).messages.map((each) => each.data),
          [data],
        );
      });
    }

    it("copies the data, so that later changes by the caller have no effect", async () => {
      const list: Json[] = ["x"];
      await append("a", "m1", { data: { list } });
      list.push("y");
      assert.deepEqual((await read("a")).messages[0]?.data, { list: ["x"] });
    });
  });

  runner.describe("appendAfter", () => {
    const appendAfter = (head: Position, id: string) =>
      history.appendAfter("a", head, message(id, { data: id }), RETENTION);

    it("appends after the head, with every field of the message", async () => {
      const head = await history.readHead("a");
      const first = await history.appendAfter("a", head, message("m1", { userId: "ada" }), RETENTION);
      const stored = { ...message("m1", { userId: "ada" }), offset: 1 };
      assert.deepEqual(first, { epoch: head.epoch, message: stored, duplicate: false });
      assertMatches(await appendAfter({ epoch: head.epoch, offset: 1 }, "m2"), {
        message: { offset: 2 },
      });
      assertMatches((await read("a")).messages, [{ id: "m1" }, { id: "m2" }]);
    });

    it("stores nothing after an older head, a later head, or one of another epoch", async () => {
      const unused = await history.readHead("a");
      for (const id of ["m1", "m2"]) await append("a", id);
      const { epoch } = unused;
      const others = [unused, { epoch, offset: 1 }, { epoch, offset: 3 }, { epoch: "another", offset: 2 }];
      for (const head of others) assert.equal(await appendAfter(head, "late"), undefined);
      assert.equal(await appendAfter({ epoch: "another", offset: 0 }, "late"), undefined);
      assert.deepEqual(ids(await read("a")), ["m1", "m2"]);
      assertMatches(await append("a", "m3"), { message: { offset: 3 } });
    });

    it("stores nothing in an unused channel after a head of another epoch", async () => {
      assert.equal(await appendAfter({ epoch: "another", offset: 0 }, "late"), undefined);
      assertMatches(await history.readHead("a"), { offset: 0 });
    });

    it("stores one of a thousand concurrent calls, also among plain appends", async () => {
      for (const round of [0, 1]) {
        const head = await history.readHead("a");
        const tries = Array.from({ length: 1_000 }, (_, n) => appendAfter(head, `${round}-${n}`));
        const appended = (await Promise.all(tries)).filter((each) => each !== undefined);
        assert.deepEqual(
          appended.map(({ message: { offset } }) => offset),
          [head.offset + 1],
        );
        assert.deepEqual((await read("a")).messages.at(-1), appended[0]?.message);
      }
      const head = await history.readHead("a");
      const [conditional] = await Promise.all([
        Promise.all(Array.from({ length: 20 }, (_, n) => appendAfter(head, `c${n}`))),
        ...Array.from({ length: 20 }, (_, n) => append("a", `p${n}`)),
      ]);
      const won = conditional.filter((each) => each !== undefined).length;
      assert.ok(won <= 1);
      assert.deepEqual(
        offsets(await read("a")),
        Array.from({ length: 22 + won }, (_, n) => n + 1),
      );
    }, 120_000);
  });

  runner.describe("an idempotency key", () => {
    it("is remembered after the clock was set back by an hour", async () => {
      const now = underTest.now();
      await append("a", "m1", { key: "k", at: now + 60 * MINUTE });
      const again = await append("a", "m2", { key: "k", at: now });
      assertMatches(again, { duplicate: true, message: { id: "m1" } });
    });

    it("is remembered if it is dated less than a day ahead", async () => {
      const now = underTest.now();
      await append("a", "m1", { key: "less", at: now + MAX_KEY_AHEAD_MS - 1 });
      await append("a", "m2", { key: "day", at: now + MAX_KEY_AHEAD_MS });
      assert.equal((await append("a", "m3", { key: "less", at: now })).duplicate, true);
      assert.equal((await append("a", "m4", { key: "day", at: now })).duplicate, false);
    });

    it("can be reused if a publisher a year ahead used it", async () => {
      const now = underTest.now();
      await append("a", "m1", { key: "k", at: now + 365 * 24 * 60 * MINUTE });
      assertMatches(await append("a", "m2", { key: "k", at: now }), { duplicate: false });
      const again = await append("a", "m3", { key: "k", at: now });
      assertMatches(again, { duplicate: true, message: { id: "m2" } });
    });

    it("is remembered for publishers with clocks behind and ahead", async () => {
      await append("a", "m1", { key: "k" });
      for (let n = 0; n < 200; n++) {
        await append("b", `n${n}`, { key: `k${n}`, at: underTest.now() + 365 * 24 * 60 * MINUTE });
      }
      const behind = await append("a", "m2", { key: "k", at: underTest.now() - 60 * MINUTE });
      assertMatches(behind, { duplicate: true, message: { id: "m1" } });
      assertMatches(await append("a", "m3", { key: "k" }), { duplicate: true, message: { id: "m1" } });
    });

    it("stores a repeated message once, and returns the first id and offset", async () => {
      const first = await append("a", "m1", { key: "k" });
      assertMatches(first, { duplicate: false, message: { id: "m1", offset: 1 } });
      await append("a", "m2");
      const second = await append("a", "m3", { key: "k", data: "other" });
      assertMatches(second, { epoch: first.epoch, duplicate: true, message: { id: "m1", offset: 1 } });
      assert.ok([null, first.message.data].some((data) => isDeepStrictEqual(data, second.message.data)));
      assert.deepEqual(ids(await read("a")), ["m1", "m2"]);
      assert.equal((await append("a", "m4")).message.offset, 3);
    });

    it("does not appear in the stored message", async () => {
      assert.ok(!Object.hasOwn((await append("a", "m1", { key: "k" })).message ?? {}, "key"));
      assert.ok(!Object.hasOwn((await read("a")).messages[0] ?? {}, "key"));
    });

    it("does not match other keys or other channels", async () => {
      await append("a", "m1", { key: "k" });
      for (const key of ["K", "k ", "k\u0000", "__proto__", '"k"', "x".repeat(512)]) {
        assert.equal((await append("a", `m-${key.length}`, { key })).duplicate, false);
      }
      assertMatches(await append("b", "m1", { key: "k" }), {
        duplicate: false,
        message: { offset: 1 },
      });
      for (const [channel, key] of [
        ["x", "y:z"],
        ["x:y", "z"],
        ['x","y', "z"],
        ["x", 'y","z'],
        ["x#y", "z"],
        ["x", "y#z"],
      ] as const) {
        assert.equal((await append(channel, "m1", { key })).duplicate, false);
      }
    });

    it("expires after five minutes", async () => {
      await append("a", "m1", { key: "k" });
      underTest.advance(IDEMPOTENCY_WINDOW_MS - 1);
      assertMatches(await append("a", "m2", { key: "k" }), { duplicate: true, message: { id: "m1" } });
      underTest.advance(1);
      assertMatches(await append("a", "m3", { key: "k" }), {
        duplicate: false,
        message: { offset: 2 },
      });
      underTest.advance(IDEMPOTENCY_WINDOW_MS - 1);
      assertMatches(await append("a", "m4", { key: "k" }), { duplicate: true, message: { id: "m3" } });
    });

    it("stores concurrent messages with the same key once", async () => {
      const appended = await Promise.all(
        Array.from({ length: 20 }, (_, n) => append("a", `m${n}`, { key: "k" })),
      );
      assert.equal(appended.filter(({ duplicate }) => !duplicate).length, 1);
      assert.equal(new Set(appended.map((each) => each.message.id)).size, 1);
      assert.deepEqual(
        appended.map((each) => each.message.offset),
        appended.map(() => 1),
      );
      assert.equal((await read("a")).messages.length, 1);
    });

    it("is remembered even if its message is past the retention", async () => {
      const retention = { size: 1, ageMs: 1 };
      await append("a", "m1", { key: "k" }, retention);
      underTest.advance(MINUTE);
      for (let n = 2; n <= 5; n++) await append("a", `m${n}`, {}, retention);
      assertMatches(await append("a", "m6", { key: "k" }, retention), {
        duplicate: true,
        message: { id: "m1", offset: 1 },
      });
    });
  });

  runner.describe("an epoch", () => {
    it("is assigned by reading an unused channel, and kept by appends", async () => {
      const { epoch, offset } = await history.readHead("a");
      assert.notEqual(epoch, "");
      assert.equal(offset, 0);
      assert.deepEqual(await read("a"), { head: { epoch, offset: 0 }, messages: [], more: false });
      assert.equal((await append("a", "m1")).epoch, epoch);
      assert.deepEqual(await history.readHead("a"), { epoch, offset: 1 });
    });

    it("is the same for concurrent first calls", async () => {
      const epochs = await Promise.all([
        ...Array.from({ length: 5 }, async (_, n) => (await append("a", `m${n}`)).epoch),
        ...Array.from({ length: 5 }, async () => (await history.readHead("a")).epoch),
        ...Array.from({ length: 5 }, async () => (await read("a")).head.epoch),
      ]);
      assert.equal(new Set(epochs).size, 1);
    });

    it("differs per channel, and in a store that lost its history", async () => {
      const other = (await create()).store.history;
      const epochs = await Promise.all([history.readHead("a"), history.readHead("b"), other.readHead("a")]);
      assert.equal(new Set(epochs.map(({ epoch }) => epoch)).size, 3);
    });
  });

  it("separates channels with any names", async () => {
    const heads = await Promise.all(AWKWARD_NAMES.map((name) => history.readHead(name)));
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      // A different number of messages per channel.
      for (let times = 0; times <= n % 3; times++) await append(name, `${n}-${times}`, { key: `k${times}` });
    }
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      const page = await read(name);
      assert.deepEqual(page.head, { epoch: heads[n]!.epoch, offset: 1 + (n % 3) });
      assert.deepEqual(
        ids(page),
        Array.from({ length: 1 + (n % 3) }, (_, times) => `${n}-${times}`),
      );
    }
    await history.markDelivered(AWKWARD_NAMES[0]!, 1);
    if (pendingFanOutsReportedBy !== undefined) return;
    const left: string[] = [];
    for await (const { channel, message } of history.listPendingFanOuts(underTest.now() + 1)) {
      if (message.offset === 1) left.push(channel);
    }
    assert.deepEqual(left.sort(), AWKWARD_NAMES.slice(1).toSorted());
  });
}
