import { beforeEach, describe, expect, it } from "vitest";
import {
  type ChannelHistory,
  IDEMPOTENCY_WINDOW_MS,
  type Json,
  type Position,
  type StoredMessage,
} from "../src/store/index.ts";
import {
  AWKWARD_NAMES,
  type ChannelCasesOptions,
  type ChannelsUnderTest,
  type MakeChannels,
} from "./channels.cases.ts";
import { BOUNDS, historyDriver, ids, MINUTE, offsets } from "./streamer/channel-driver.ts";

/** What `ChannelHistory` promises of what is appended. */
export function historyCases(make: MakeChannels, { unfinishedToldBy }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let history: ChannelHistory;
  const { message, append, read } = historyDriver(() => world);

  beforeEach(async () => {
    world = await make();
    history = world.store.history;
  });

  describe("append", () => {
    it("gives the offsets of an epoch from 1 on, each channel its own", async () => {
      const offsets: number[] = [];
      for (const id of ["m1", "m2", "m3"]) offsets.push((await append("a", id)).message.offset);
      expect(offsets).toEqual([1, 2, 3]);
      expect((await append("b", "m1")).message.offset).toBe(1);
    });

    it("leaves no offset out and gives none twice to fifty at once", async () => {
      const ids = Array.from({ length: 50 }, (_, n) => `m${n}`);
      const appended = await Promise.all(ids.map((id) => append("a", id)));
      const offsets = appended.map(({ message }) => message.offset);
      expect(offsets.toSorted((a, b) => a - b)).toEqual(ids.map((_, n) => n + 1));
      const page = await read("a");
      expect(page.head.offset).toBe(50);
      expect(new Map(page.messages.map(({ id, offset }) => [id, offset]))).toEqual(
        new Map(appended.map(({ message: { id, offset } }) => [id, offset])),
      );
    });

    it("gives back every field of a message, also of one without a user", async () => {
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
      expect((await history.append("a", full, BOUNDS)).message).toStrictEqual(stored[0]);
      expect((await history.append("a", bare, BOUNDS)).message).toStrictEqual(stored[1]);
      const page = await read("a");
      expect(page.messages).toStrictEqual(stored);
      expect(Object.keys(page.messages[0]!.data as object).sort()).toEqual(Object.keys(data).sort());
      expect(page.messages[1]).not.toHaveProperty("userId");
    });

    it.each<Json>([null, "", "text", 0, 1.5, false, true, [], {}])("keeps %j as it is", async (data) => {
      await append("a", "m1", { data });
      expect((await read("a")).messages.map((each) => each.data)).toStrictEqual([data]);
    });

    it("does not see what its caller does to the data afterwards", async () => {
      const list: Json[] = ["x"];
      await append("a", "m1", { data: { list } });
      list.push("y");
      expect((await read("a")).messages[0]?.data).toEqual({ list: ["x"] });
    });
  });

  describe("appendAfter", () => {
    const appendAfter = (head: Position, id: string) =>
      history.appendAfter("a", head, message(id, { data: id }), BOUNDS);

    it("appends behind the head, with every field of the message", async () => {
      const head = await history.readHead("a");
      const first = await history.appendAfter("a", head, message("m1", { userId: "ada" }), BOUNDS);
      const stored = { ...message("m1", { userId: "ada" }), offset: 1 };
      expect(first).toStrictEqual({ epoch: head.epoch, message: stored, duplicate: false });
      expect(await appendAfter({ epoch: head.epoch, offset: 1 }, "m2")).toMatchObject({
        message: { offset: 2 },
      });
      expect((await read("a")).messages).toMatchObject([{ id: "m1" }, { id: "m2" }]);
    });

    it("stores nothing behind an older head, a later one, or one of another epoch", async () => {
      const unused = await history.readHead("a");
      for (const id of ["m1", "m2"]) await append("a", id);
      const { epoch } = unused;
      const others = [unused, { epoch, offset: 1 }, { epoch, offset: 3 }, { epoch: "another", offset: 2 }];
      for (const head of others) expect(await appendAfter(head, "late")).toBeUndefined();
      expect(await appendAfter({ epoch: "another", offset: 0 }, "late")).toBeUndefined();
      expect(ids(await read("a"))).toEqual(["m1", "m2"]);
      expect(await append("a", "m3")).toMatchObject({ message: { offset: 3 } });
    });

    it("stores nothing in an unused channel behind the head of another epoch", async () => {
      expect(await appendAfter({ epoch: "another", offset: 0 }, "late")).toBeUndefined();
      expect(await history.readHead("a")).toMatchObject({ offset: 0 });
    });

    it("stores one of a thousand that come at once, among plain appends too", {
      timeout: 120_000,
    }, async () => {
      for (const round of [0, 1]) {
        const head = await history.readHead("a");
        const tries = Array.from({ length: 1_000 }, (_, n) => appendAfter(head, `${round}-${n}`));
        const appended = (await Promise.all(tries)).filter((each) => each !== undefined);
        expect(appended.map(({ message: { offset } }) => offset)).toEqual([head.offset + 1]);
        expect((await read("a")).messages.at(-1)).toEqual(appended[0]?.message);
      }
      const head = await history.readHead("a");
      const [conditional] = await Promise.all([
        Promise.all(Array.from({ length: 20 }, (_, n) => appendAfter(head, `c${n}`))),
        ...Array.from({ length: 20 }, (_, n) => append("a", `p${n}`)),
      ]);
      const won = conditional.filter((each) => each !== undefined).length;
      expect(won).toBeLessThanOrEqual(1);
      expect(offsets(await read("a"))).toEqual(Array.from({ length: 22 + won }, (_, n) => n + 1));
    });
  });

  describe("a key", () => {
    it("is known after the clock was set back by an hour", async () => {
      const now = world.now();
      await append("a", "m1", { key: "k", at: now + 60 * MINUTE });
      const again = await append("a", "m2", { key: "k", at: now });
      expect(again).toMatchObject({ duplicate: true, message: { id: "m1" } });
    });

    it("is free again when a publisher a year ahead has used it", async () => {
      const now = world.now();
      await append("a", "m1", { key: "k", at: now + 365 * 24 * 60 * MINUTE });
      expect(await append("a", "m2", { key: "k", at: now })).toMatchObject({ duplicate: false });
      const again = await append("a", "m3", { key: "k", at: now });
      expect(again).toMatchObject({ duplicate: true, message: { id: "m2" } });
    });

    it("is known to a publisher whose clock is behind, and not forgotten for one that is ahead in between", async () => {
      await append("a", "m1", { key: "k" });
      for (let n = 0; n < 200; n++) {
        await append("b", `n${n}`, { key: `k${n}`, at: world.now() + 365 * 24 * 60 * MINUTE });
      }
      const behind = await append("a", "m2", { key: "k", at: world.now() - 60 * MINUTE });
      expect(behind).toMatchObject({ duplicate: true, message: { id: "m1" } });
      expect(await append("a", "m3", { key: "k" })).toMatchObject({ duplicate: true, message: { id: "m1" } });
    });

    it("stores once, and answers with the first one's id and offset", async () => {
      const first = await append("a", "m1", { key: "k" });
      expect(first).toMatchObject({ duplicate: false, message: { id: "m1", offset: 1 } });
      await append("a", "m2");
      const second = await append("a", "m3", { key: "k", data: "other" });
      expect(second).toMatchObject({ epoch: first.epoch, duplicate: true, message: { id: "m1", offset: 1 } });
      expect(ids(await read("a"))).toEqual(["m1", "m2"]);
      expect((await append("a", "m4")).message.offset).toBe(3);
    });

    it("is no part of the message", async () => {
      expect((await append("a", "m1", { key: "k" })).message).not.toHaveProperty("key");
      expect((await read("a")).messages[0]).not.toHaveProperty("key");
    });

    it("stores again when it is another one, or another channel's", async () => {
      await append("a", "m1", { key: "k" });
      for (const key of ["K", "k ", "k\u0000", "__proto__", '"k"', "x".repeat(512)]) {
        expect((await append("a", `m-${key.length}`, { key })).duplicate).toBe(false);
      }
      expect(await append("b", "m1", { key: "k" })).toMatchObject({
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
        expect((await append(channel, "m1", { key })).duplicate).toBe(false);
      }
    });

    it("stores again after five minutes, and not before", async () => {
      await append("a", "m1", { key: "k" });
      world.advance(IDEMPOTENCY_WINDOW_MS - 1);
      expect(await append("a", "m2", { key: "k" })).toMatchObject({ duplicate: true, message: { id: "m1" } });
      world.advance(1);
      expect(await append("a", "m3", { key: "k" })).toMatchObject({
        duplicate: false,
        message: { offset: 2 },
      });
      world.advance(IDEMPOTENCY_WINDOW_MS - 1);
      expect(await append("a", "m4", { key: "k" })).toMatchObject({ duplicate: true, message: { id: "m3" } });
    });

    it("stores once when many come at once", async () => {
      const appended = await Promise.all(
        Array.from({ length: 20 }, (_, n) => append("a", `m${n}`, { key: "k" })),
      );
      expect(appended.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(new Set(appended.map((each) => each.message.id)).size).toBe(1);
      expect(appended.map((each) => each.message.offset)).toEqual(appended.map(() => 1));
      expect((await read("a")).messages).toHaveLength(1);
    });

    it("is remembered when its message is past the retention", async () => {
      const retention = { size: 1, ageMs: 1 };
      await append("a", "m1", { key: "k" }, retention);
      world.advance(MINUTE);
      for (let n = 2; n <= 5; n++) await append("a", `m${n}`, {}, retention);
      expect(await append("a", "m6", { key: "k" }, retention)).toMatchObject({
        duplicate: true,
        message: { id: "m1", offset: 1 },
      });
    });
  });

  describe("an epoch", () => {
    it("is given to a channel that nobody has used by reading it, and kept by appends", async () => {
      const { epoch, offset } = await history.readHead("a");
      expect(epoch).not.toBe("");
      expect(offset).toBe(0);
      expect(await read("a")).toEqual({ head: { epoch, offset: 0 }, messages: [], more: false });
      expect((await append("a", "m1")).epoch).toBe(epoch);
      expect(await history.readHead("a")).toEqual({ epoch, offset: 1 });
    });

    it("is given once to many who come at once", async () => {
      const epochs = await Promise.all([
        ...Array.from({ length: 5 }, async (_, n) => (await append("a", `m${n}`)).epoch),
        ...Array.from({ length: 5 }, async () => (await history.readHead("a")).epoch),
        ...Array.from({ length: 5 }, async () => (await read("a")).head.epoch),
      ]);
      expect(new Set(epochs).size).toBe(1);
    });

    it("is another in another channel, and in a store that has lost its history", async () => {
      const other = (await make()).store.history;
      const epochs = await Promise.all([history.readHead("a"), history.readHead("b"), other.readHead("a")]);
      expect(new Set(epochs.map(({ epoch }) => epoch)).size).toBe(3);
    });
  });

  it("keeps channels apart, whatever they are called", async () => {
    const heads = await Promise.all(AWKWARD_NAMES.map((name) => history.readHead(name)));
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      // As many as no other has.
      for (let times = 0; times <= n % 3; times++) await append(name, `${n}-${times}`, { key: `k${times}` });
    }
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      const page = await read(name);
      expect(page.head).toEqual({ epoch: heads[n]!.epoch, offset: 1 + (n % 3) });
      expect(ids(page)).toEqual(Array.from({ length: 1 + (n % 3) }, (_, times) => `${n}-${times}`));
    }
    await history.markDelivered(AWKWARD_NAMES[0]!, 1);
    if (unfinishedToldBy !== undefined) return;
    const left: string[] = [];
    for await (const { channel, message } of history.listPendingFanOuts(world.now() + 1)) {
      if (message.offset === 1) left.push(channel);
    }
    expect(left.sort()).toEqual(AWKWARD_NAMES.slice(1).toSorted());
  });
}
