import assert from "node:assert/strict";
import type { ChannelHistory, PendingFanOut, TableStreamHistory } from "./channel-history.ts";
import {
  type ChannelStoreCasesOptions,
  type ChannelStoreUnderTest,
  type CreateChannelStore,
  historyDriver,
  ids,
} from "./channel-store-under-test.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** What `ChannelHistory` promises of what has not reached everybody yet. */
export function fanOutCases(
  runner: TestRunner,
  create: CreateChannelStore,
  { pendingFanOutsReportedBy }: ChannelStoreCasesOptions,
): void {
  let underTest: ChannelStoreUnderTest;
  let history: ChannelHistory;
  const { append, read, pendingFanOuts } = historyDriver(() => underTest);

  const it = withSetUp(runner.it, async () => {
    underTest = await create();
    history = underTest.store.history;
  });

  /** The message, as a second attempt of its fan-out gets it. */
  async function left(channel: string, offset: number): Promise<PendingFanOut | undefined> {
    if ("getPendingFanOut" in history)
      return (history as TableStreamHistory).getPendingFanOut(channel, offset);
    return (await pendingFanOuts()).find((one) => one.channel === channel && one.message.offset === offset);
  }

  runner.describe("a fan-out", () => {
    it("may be finished and kept the place of twice, or when there is no such message", async () => {
      await append("a", "m1");
      for (let times = 0; times < 2; times++) await history.checkpoint("a", 1, "here");
      for (let times = 0; times < 2; times++) await history.markDelivered("a", 1);
      await history.checkpoint("a", 1, "late");
      for (const [channel, offset] of [
        ["a", 2],
        ["nobody", 1],
      ] as const) {
        await history.checkpoint(channel, offset, "here");
        await history.markDelivered(channel, offset);
      }
      assert.deepEqual(await pendingFanOuts(), []);
      assertMatches(await history.readHead("a"), { offset: 1 });
      assertMatches(await history.readHead("nobody"), { offset: 0 });
      assert.deepEqual(ids(await read("a")), ["m1"]);
    });

    it("has the stored message, by its stored id, at every attempt", async () => {
      const { epoch, message } = await append("a", "m1", { userId: "ada", key: "k" });
      assert.equal(message.id, "m1");
      assert.deepEqual(await left("a", 1), { channel: "a", epoch, message });
      await history.checkpoint("a", 1, "here");
      const again = await append("a", "m2", { userId: "ada", key: "k" });
      assert.deepEqual([again.duplicate, again.message.id], [true, "m1"]);
      await append("a", "m3");
      for (let times = 0; times < 2; times++) {
        assert.deepEqual(await left("a", 1), { channel: "a", epoch, message, cursor: "here" });
      }
      assert.deepEqual((await read("a")).messages[0], message);
      await history.markDelivered("a", 1);
      assert.equal(await left("a", 1), undefined);
      assert.equal((await left("a", 2))?.message.id, "m3");
    });

    if (pendingFanOutsReportedBy !== undefined) {
      it(`is told by ${pendingFanOutsReportedBy} when it is not finished`, async () => {
        await append("a", "m1");
        assert.deepEqual(await pendingFanOuts(), []);
      });
      return;
    }

    it("is unfinished until it is finished, with the whole message and its place", async () => {
      const { epoch, message } = await append("a", "m1", { userId: "ada", data: ["x"] });
      assert.deepEqual(await pendingFanOuts(), [{ channel: "a", epoch, message }]);
      await history.checkpoint("a", 1, "first");
      await history.checkpoint("a", 1, 'second"\u0000');
      assert.deepEqual(await pendingFanOuts(), [{ channel: "a", epoch, message, cursor: 'second"\u0000' }]);
      await append("a", "m2");
      await history.markDelivered("a", 1);
      assert.deepEqual(
        (await pendingFanOuts()).map((each) => each.message.id),
        ["m2"],
      );
    });

    it("is told of when its message was stored before the time asked", async () => {
      await append("a", "m1");
      underTest.advance(5);
      await append("b", "m2");
      assert.deepEqual(await pendingFanOuts(underTest.now() - 5), []);
      assertMatches(await pendingFanOuts(underTest.now()), [{ channel: "a" }]);
      assert.equal((await pendingFanOuts(underTest.now() + 1)).length, 2);
    });

    it("is not begun by a repeated key", async () => {
      await append("a", "m1", { key: "k" });
      await history.markDelivered("a", 1);
      await append("a", "m2", { key: "k" });
      assert.deepEqual(await pendingFanOuts(), []);
    });

    it("is told of with its message, also when that is past the retention", async () => {
      const retention = { size: 1, ageMs: 1 };
      await append("a", "kept", {}, retention);
      for (let n = 2; n <= 200; n++) {
        underTest.advance(1);
        await append("a", `m${n}`, {}, retention);
        await history.markDelivered("a", n);
      }
      assertMatches(await pendingFanOuts(), [{ channel: "a", message: { id: "kept", offset: 1 } }]);
      await history.markDelivered("a", 1);
      assert.deepEqual(await pendingFanOuts(), []);
    });

    it("may be finished while they are told of", async () => {
      for (let n = 1; n <= 30; n++) await append(`c${n % 3}`, `m${n}`);
      const seen: string[] = [];
      for await (const { channel, message } of history.listPendingFanOuts(underTest.now() + 1)) {
        seen.push(message.id);
        await history.markDelivered(channel, message.offset);
      }
      assert.deepEqual(new Set(seen), new Set(Array.from({ length: 30 }, (_, n) => `m${n + 1}`)));
      assert.equal(seen.length, 30);
      assert.deepEqual(await pendingFanOuts(), []);
    });
  });
}
