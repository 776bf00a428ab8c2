import { beforeEach, describe, expect, it } from "vitest";
import type { ChannelHistory, PendingFanOut, TableStreamHistory } from "../src/store/index.ts";
import type { ChannelCasesOptions, ChannelsUnderTest, MakeChannels } from "./channels.cases.ts";
import { historyDriver, ids } from "./streamer/channel-driver.ts";

/** What `ChannelHistory` promises of what has not reached everybody yet. */
export function fanoutCases(make: MakeChannels, { unfinishedToldBy }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let history: ChannelHistory;
  const { append, read, unfinished } = historyDriver(() => world);

  beforeEach(async () => {
    world = await make();
    history = world.store.history;
  });

  /** The message, as a second attempt of its fan-out gets it. */
  async function left(channel: string, offset: number): Promise<PendingFanOut | undefined> {
    if ("getPendingFanOut" in history)
      return (history as TableStreamHistory).getPendingFanOut(channel, offset);
    return (await unfinished()).find((one) => one.channel === channel && one.message.offset === offset);
  }

  describe("a fan-out", () => {
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
      expect(await unfinished()).toEqual([]);
      expect(await history.readHead("a")).toMatchObject({ offset: 1 });
      expect(await history.readHead("nobody")).toMatchObject({ offset: 0 });
      expect(ids(await read("a"))).toEqual(["m1"]);
    });

    it("has the stored message, by its stored id, at every attempt", async () => {
      const { epoch, message } = await append("a", "m1", { userId: "ada", key: "k" });
      expect(message.id).toBe("m1");
      expect(await left("a", 1)).toStrictEqual({ channel: "a", epoch, message });
      await history.checkpoint("a", 1, "here");
      const again = await append("a", "m2", { userId: "ada", key: "k" });
      expect([again.duplicate, again.message.id]).toEqual([true, "m1"]);
      await append("a", "m3");
      for (let times = 0; times < 2; times++) {
        expect(await left("a", 1)).toStrictEqual({ channel: "a", epoch, message, cursor: "here" });
      }
      expect((await read("a")).messages[0]).toStrictEqual(message);
      await history.markDelivered("a", 1);
      expect(await left("a", 1)).toBeUndefined();
      expect((await left("a", 2))?.message.id).toBe("m3");
    });

    if (unfinishedToldBy !== undefined) {
      it(`is told by ${unfinishedToldBy} when it is not finished`, async () => {
        await append("a", "m1");
        expect(await unfinished()).toEqual([]);
      });
      return;
    }

    it("is unfinished until it is finished, with the whole message and its place", async () => {
      const { epoch, message } = await append("a", "m1", { userId: "ada", data: ["x"] });
      expect(await unfinished()).toStrictEqual([{ channel: "a", epoch, message }]);
      await history.checkpoint("a", 1, "first");
      await history.checkpoint("a", 1, 'second"\u0000');
      expect(await unfinished()).toStrictEqual([{ channel: "a", epoch, message, cursor: 'second"\u0000' }]);
      await append("a", "m2");
      await history.markDelivered("a", 1);
      expect((await unfinished()).map((each) => each.message.id)).toEqual(["m2"]);
    });

    it("is told of when its message was stored before the time asked", async () => {
      await append("a", "m1");
      world.advance(5);
      await append("b", "m2");
      expect(await unfinished(world.now() - 5)).toEqual([]);
      expect(await unfinished(world.now())).toMatchObject([{ channel: "a" }]);
      expect(await unfinished(world.now() + 1)).toHaveLength(2);
    });

    it("is not begun by a repeated key", async () => {
      await append("a", "m1", { key: "k" });
      await history.markDelivered("a", 1);
      await append("a", "m2", { key: "k" });
      expect(await unfinished()).toEqual([]);
    });

    it("is told of with its message, also when that is past the retention", async () => {
      const retention = { size: 1, ageMs: 1 };
      await append("a", "kept", {}, retention);
      for (let n = 2; n <= 200; n++) {
        world.advance(1);
        await append("a", `m${n}`, {}, retention);
        await history.markDelivered("a", n);
      }
      expect(await unfinished()).toMatchObject([{ channel: "a", message: { id: "kept", offset: 1 } }]);
      await history.markDelivered("a", 1);
      expect(await unfinished()).toEqual([]);
    });

    it("may be finished while they are told of", async () => {
      for (let n = 1; n <= 30; n++) await append(`c${n % 3}`, `m${n}`);
      const seen: string[] = [];
      for await (const { channel, message } of history.listPendingFanOuts(world.now() + 1)) {
        seen.push(message.id);
        await history.markDelivered(channel, message.offset);
      }
      expect(new Set(seen)).toEqual(new Set(Array.from({ length: 30 }, (_, n) => `m${n + 1}`)));
      expect(seen).toHaveLength(30);
      expect(await unfinished()).toEqual([]);
    });
  });
}
