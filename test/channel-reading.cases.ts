import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import {
  type ChannelHistory,
  type HistoryPage,
  type HistoryQuery,
  IDEMPOTENCY_WINDOW_MS,
  type NewMessage,
  type StoredMessage,
} from "../src/store/index.ts";
import type { ChannelCasesOptions, ChannelsUnderTest, MakeChannels } from "./channels.cases.ts";
import { BOUNDS, historyDriver, ids, MINUTE, offsets } from "./streamer/channel-driver.ts";

/** What `ChannelHistory` promises of what is read. */
export function readingCases(make: MakeChannels, { runs = 10 }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let history: ChannelHistory;
  const { message, append, read, fill } = historyDriver(() => world);

  beforeEach(async () => {
    world = await make();
    history = world.store.history;
  });

  describe("reading", () => {
    it("gives the newest, those after an offset, those before one, and those between two", async () => {
      await fill("a", 9);
      expect(offsets(await read("a", { limit: 3 }))).toEqual([7, 8, 9]);
      expect(offsets(await read("a", { limit: 3, after: 2 }))).toEqual([3, 4, 5]);
      expect(offsets(await read("a", { limit: 3, before: 5 }))).toEqual([2, 3, 4]);
      expect(offsets(await read("a", { limit: 3, after: 2, before: 5 }))).toEqual([3, 4]);
      expect(offsets(await read("a", { limit: 3, after: 2, before: 9 }))).toEqual([3, 4, 5]);
      expect(offsets(await read("a", { limit: 1_000, after: 0 }))).toHaveLength(9);
    });

    it("tells whether there is more in the direction asked", async () => {
      await fill("a", 5);
      expect((await read("a", { limit: 4 })).more).toBe(true);
      expect((await read("a", { limit: 5 })).more).toBe(false);
      expect((await read("a", { limit: 2, after: 2 })).more).toBe(true);
      expect((await read("a", { limit: 2, after: 3 })).more).toBe(false);
      expect((await read("a", { limit: 2, before: 4 })).more).toBe(true);
      expect((await read("a", { limit: 2, before: 3 })).more).toBe(false);
      expect((await read("a", { limit: 2, after: 1, before: 5 })).more).toBe(true);
      expect((await read("a", { limit: 3, after: 1, before: 5 })).more).toBe(false);
    });

    it("gives nothing of what is not there, and the head all the same", async () => {
      await fill("a", 2);
      const { head } = await read("a");
      for (const query of [
        { after: 2 },
        { after: 99 },
        { before: 1 },
        { before: 0 },
        { after: 1, before: 2 },
      ]) {
        expect(await read("a", query)).toEqual({ head, messages: [], more: false });
      }
    });

    it.each([1, 4, 25, 100])("pages to either end by %i, every message once", async (limit) => {
      await fill("a", 25);
      const all = Array.from({ length: 25 }, (_, n) => n + 1);
      const forward: number[] = [];
      for (let more = true; more; ) {
        const page = await read("a", { limit, after: forward.at(-1) ?? 0 });
        forward.push(...offsets(page));
        more = page.more;
      }
      expect(forward).toEqual(all);
      const back: number[] = [];
      for (let more = true; more; ) {
        const page = await read("a", { limit, ...(back.length === 0 ? {} : { before: back[0]! }) });
        back.unshift(...offsets(page));
        more = page.more;
      }
      expect(back).toEqual(all);
    });

    it("sees what was appended before it asked, and no message past its head while others append", async () => {
      const reads: Promise<void>[] = [];
      for (let n = 1; n <= 20; n++) {
        const appending = append("a", `m${n}`);
        const readWhile = async (at: number) => {
          const page = await read("a", { after: 0 });
          expect(offsets(page)).toEqual(page.messages.map((_, index) => index + 1));
          expect(page.head.offset).toBeGreaterThanOrEqual(page.messages.length);
          expect(page.messages.length).toBeGreaterThanOrEqual(at);
        };
        reads.push(readWhile(n - 1));
        await appending;
        reads.push(readWhile(n));
      }
      await Promise.all(reads);
    });
  });

  describe("retention", () => {
    it("give as many as the size, also where more are kept", async () => {
      await fill("a", 5);
      const retention = { ...BOUNDS, size: 3 };
      expect(offsets(await read("a", { retention }))).toEqual([3, 4, 5]);
      expect(await read("a", { retention, after: 0, limit: 2 })).toMatchObject({ more: true });
      expect(offsets(await read("a", { retention, after: 0, limit: 2 }))).toEqual([3, 4]);
      expect(await read("a", { retention, before: 4 })).toMatchObject({
        messages: [{ offset: 3 }],
        more: false,
      });
      expect((await read("a", { retention: { ...BOUNDS, size: 0 } })).messages).toEqual([]);
    });

    it("give what is younger than the age", async () => {
      await append("a", "old");
      world.advance(MINUTE);
      await append("a", "new");
      const retention = { ...BOUNDS, ageMs: 2 * MINUTE };
      world.advance(MINUTE - 1);
      expect(ids(await read("a", { retention }))).toEqual(["old", "new"]);
      world.advance(1);
      expect(ids(await read("a", { retention }))).toEqual(["new"]);
      expect(ids(await read("a", { retention, after: 0 }))).toEqual(["new"]);
      expect(await read("a", { retention, before: 2 })).toMatchObject({ messages: [], more: false });
      world.advance(MINUTE);
      expect(await read("a", { retention })).toMatchObject({
        messages: [],
        more: false,
        head: { offset: 2 },
      });
    });

    it("both hold", async () => {
      await fill("a", 3);
      world.advance(MINUTE);
      await append("a", "m4");
      expect(offsets(await read("a", { retention: { size: 2, ageMs: 2 * MINUTE } }))).toEqual([3, 4]);
      expect(offsets(await read("a", { retention: { size: 2, ageMs: MINUTE } }))).toEqual([4]);
    });

    it("leave no gaps where clocks differ", async () => {
      const start = world.now();
      for (const late of [20, 10, 20, 0, 30]) await append("a", `m${late}`, { at: start + late });
      for (const age of [0, 5, 15, 25, 30]) {
        const kept = offsets(
          await read("a", { retention: { ...BOUNDS, ageMs: MINUTE }, now: start + MINUTE + age }),
        );
        expect(kept).toEqual([1, 2, 3, 4, 5].slice(5 - kept.length));
      }
    });

    it.each([
      ["an hour", 60 * MINUTE],
      ["a year", 365 * 24 * 60 * MINUTE],
    ])("keep a message of a publisher %s ahead as long as the one before it", async (_, ahead) => {
      await append("a", "before");
      await append("a", "ahead", { at: world.now() + ahead });
      expect(ids(await read("a"))).toEqual(["before", "ahead"]);
      expect(ids(await read("a", { after: 1 }))).toEqual(["ahead"]);
      world.advance(BOUNDS.ageMs - 1);
      expect(ids(await read("a"))).toEqual(["before", "ahead"]);
      world.advance(1);
      expect(await read("a")).toMatchObject({ messages: [], head: { offset: 2 } });
      expect((await read("a", { after: 1 })).messages).toEqual([]);
    });

    it("keep no message that is behind one of a publisher a year ahead for longer, and none for less", async () => {
      await append("a", "before");
      await append("a", "ahead", { at: world.now() + 365 * 24 * 60 * MINUTE });
      world.advance(MINUTE);
      await append("a", "behind");
      await append("a", "last");
      expect(ids(await read("a"))).toEqual(["before", "ahead", "behind", "last"]);
      expect(ids(await read("a", { after: 2 }))).toEqual(["behind", "last"]);
      world.advance(BOUNDS.ageMs - MINUTE);
      expect(ids(await read("a"))).toEqual(["behind", "last"]);
      expect(ids(await read("a", { after: 0 }))).toEqual(["behind", "last"]);
      world.advance(MINUTE);
      expect(await read("a")).toMatchObject({ messages: [], head: { offset: 4 } });
      await append("a", "new");
      expect(ids(await read("a"))).toEqual(["new"]);
    });

    it("are not applied by the date of a publication that was under way for longer than the age", async () => {
      const retention = { size: 100, ageMs: 700 };
      const late = { at: world.now() - 5_000 };
      for (let n = 0; n < 3; n++) await append("a", `m${n}`, {}, retention);
      for (let n = 0; n < 130; n++) await append(`late-${n % 2}`, `late${n}`, late, retention);
      await append("a", "late", late, retention);
      const seen = await read("a", { retention, after: 0, now: world.now() - 1_000 });
      expect(ids(seen)).toEqual(["m0", "m1", "m2", "late"]);
      expect(ids(await read("a", { retention, after: 0 })).slice(0, 3)).toEqual(["m0", "m1", "m2"]);
    });

    it("are not applied by the clock of a publisher a year ahead to what others have published", async () => {
      await fill("a", 3);
      await fill("b", 3);
      for (let n = 0; n < 200; n++) {
        await append(`c-${n % 4}`, `m${n}`, { at: world.now() + 365 * 24 * 60 * MINUTE });
      }
      await append("a", "m4", { at: world.now() + 365 * 24 * 60 * MINUTE });
      expect(ids(await read("a"))).toEqual(["m1", "m2", "m3", "m4"]);
      expect(ids(await read("b"))).toEqual(["m1", "m2", "m3"]);
    });

    it("never take the head, however long the channel was silent", async () => {
      const retention = { size: 2, ageMs: MINUTE };
      await fill("a", 7, retention);
      const head = await history.readHead("a");
      world.advance(400 * 24 * 60 * MINUTE);
      for (let n = 0; n < 100; n++) await append(`other-${n % 3}`, `m${n}`, {}, retention);
      expect(await history.readHead("a")).toEqual(head);
      expect(await read("a", { retention })).toEqual({ head, messages: [], more: false });
      expect(await append("a", "m8", {}, retention)).toMatchObject({
        epoch: head.epoch,
        message: { offset: 8 },
      });
    });
  });

  describe("an idle channel", () => {
    const retention = { size: 2, ageMs: MINUTE };
    const member = {
      connectionId: "c1",
      endpoint: "https://api.example.com/test",
      joinedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
    };

    /** Appends, and marks as delivered. */
    const deliver = async (channel: string, count: number) => {
      for (let n = 0; n < count; n++) {
        const { message: stored } = await append(channel, `${channel}-${world.now()}-${n}`, {}, retention);
        await history.markDelivered(channel, stored.offset);
      }
    };

    it("goes on in its epoch, or begins another one", async () => {
      const epochs = new Set<string>();
      for (let round = 0; round < 3; round++) {
        await deliver("a", 3);
        const before = await history.readHead("a");
        world.advance(400 * 24 * 60 * MINUTE);
        await deliver("other", 130);
        const after = await history.readHead("a");
        if (after.epoch === before.epoch) expect(after).toEqual(before);
        else {
          expect(epochs).not.toContain(after.epoch);
          expect(after.offset).toBe(0);
        }
        epochs.add(before.epoch);
        expect(await read("a", { retention })).toEqual({ head: after, messages: [], more: false });
      }
    });

    it("goes on in its epoch while it has a member, and for its idle time after the last one has left", async () => {
      await deliver("a", 3);
      const head = await history.readHead("a");
      await world.store.members.add("a", member);
      world.advance(400 * 24 * 60 * MINUTE);
      await deliver("other", 130);
      await world.store.members.remove("a", "c1");
      world.advance(IDEMPOTENCY_WINDOW_MS - 1);
      await deliver("other", 130);
      expect(await history.readHead("a")).toEqual(head);
    });

    it("goes on in its epoch while a message of it is not delivered", async () => {
      await deliver("a", 3);
      await append("a", "pending", {}, retention);
      const head = await history.readHead("a");
      world.advance(400 * 24 * 60 * MINUTE);
      await deliver("other", 130);
      expect(await history.readHead("a")).toEqual(head);
    });
  });

  it("agrees with a list that is searched, whatever is appended and asked", async () => {
    const step = fc.record({
      channel: fc.constantFrom("a", "b"),
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * MINUTE })),
      key: fc.option(fc.constantFrom("k1", "k2"), { nil: undefined }),
      ask: fc.record(
        { after: fc.nat({ max: 12 }), before: fc.nat({ max: 12 }), limit: fc.integer({ min: 1, max: 6 }) },
        { requiredKeys: ["limit"] },
      ),
    });
    const retention = fc.record({ size: fc.nat({ max: 8 }), ageMs: fc.integer({ min: 1, max: 6 * MINUTE }) });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), retention, async (steps, retention) => {
        run++;
        const models = { a: new ModelChannel(), b: new ModelChannel() };
        for (const [n, { channel, waitMs, key, ask }] of steps.entries()) {
          world.advance(waitMs);
          const sent = message(`m${n}`, key === undefined ? {} : { key });
          const expected = models[channel].append(sent);
          const appended = await history.append(`${channel}${run}`, sent, retention);
          expect(appended.duplicate).toBe(expected.duplicate);
          expect(appended.message).toMatchObject({ id: expected.id, offset: expected.offset });
          const query = { ...ask, retention, now: world.now() };
          const page = await history.read(`${channel}${run}`, query);
          expect(page).toEqual({ ...models[channel].page(query), head: page.head });
          expect(page.head.offset).toBe(models[channel].messages.length);
        }
      }),
      { numRuns: runs },
    );
  });
}

/** A channel as simple as it can be: all of its messages, and a search. */
class ModelChannel {
  readonly messages: StoredMessage[] = [];
  readonly #keys = new Map<string, StoredMessage>();

  append({ key, ...message }: NewMessage): { duplicate: boolean; id: string; offset: number } {
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known !== undefined && message.at - known.at < IDEMPOTENCY_WINDOW_MS)
      return { ...known, duplicate: true };
    const stored = { ...message, offset: this.messages.length + 1 };
    this.messages.push(stored);
    if (key !== undefined) this.#keys.set(key, stored);
    return { ...stored, duplicate: false };
  }

  page({ after, before, limit, retention, now }: HistoryQuery): Omit<HistoryPage, "head"> {
    const asked = this.messages.filter(
      ({ offset, at }) =>
        offset > this.messages.length - retention.size &&
        now - at < retention.ageMs &&
        offset > (after ?? 0) &&
        offset < (before ?? Number.POSITIVE_INFINITY),
    );
    const messages = after === undefined ? asked.slice(-limit) : asked.slice(0, limit);
    return { messages, more: messages.length < asked.length };
  }
}
