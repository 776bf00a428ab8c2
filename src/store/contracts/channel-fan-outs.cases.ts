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

/** Defines a test for every guarantee of `ChannelHistory` about pending fan-outs. */
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

  /** Returns the message as a second attempt of its fan-out reads it. */
  async function left(channel: string, offset: number): Promise<PendingFanOut | undefined> {
    if ("getPendingFanOut" in history)
      return (history as TableStreamHistory).getPendingFanOut(channel, offset);
    return (await pendingFanOuts()).find((one) => one.channel === channel && one.message.offset === offset);
  }

  runner.describe("a fan-out", () => {
    it("accepts repeated calls of markDelivered and checkpoint, also for a missing message", async () => {
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

    it("returns the stored message with its id at every attempt", async () => {
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
      it(`is reported by ${pendingFanOutsReportedBy} while it is pending`, async () => {
        await append("a", "m1");
        assert.deepEqual(await pendingFanOuts(), []);
      });
      return;
    }

    it("is pending, with message and cursor, until it is marked as delivered", async () => {
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

    it("is listed if its message was stored before the given time", async () => {
      await append("a", "m1");
      underTest.advance(5);
      await append("b", "m2");
      assert.deepEqual(await pendingFanOuts(underTest.now() - 5), []);
      assertMatches(await pendingFanOuts(underTest.now()), [{ channel: "a" }]);
      assert.equal((await pendingFanOuts(underTest.now() + 1)).length, 2);
    });

    it("does not start for a duplicate message", async () => {
      await append("a", "m1", { key: "k" });
      await history.markDelivered("a", 1);
      await append("a", "m2", { key: "k" });
      assert.deepEqual(await pendingFanOuts(), []);
    });

    it("is listed with its message, even past the retention", async () => {
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

    it("can be marked as delivered while pending fan-outs are listed", async () => {
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
