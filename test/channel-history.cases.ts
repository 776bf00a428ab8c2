import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import {
  type ChannelHistory,
  type HistoryBounds,
  type HistoryPage,
  type HistoryQuery,
  IDEMPOTENCY_MS,
  type Json,
  type NewMessage,
  type StoredMessage,
  type Unfinished,
} from "../src/store/index.ts";
import {
  AWKWARD_NAMES,
  type ChannelCasesOptions,
  type ChannelsUnderTest,
  type MakeChannels,
} from "./channels.cases.ts";

const MINUTE = 60_000;
const BOUNDS: HistoryBounds = { size: 100, ageMs: 5 * MINUTE };

/** Everything that `ChannelHistory` promises. */
export function historyCases(make: MakeChannels, { unfinishedToldBy, runs = 10 }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let history: ChannelHistory;

  beforeEach(async () => {
    world = await make();
    history = world.store.history;
  });

  const message = (id: string, overrides: Partial<NewMessage> = {}): NewMessage => ({
    id,
    data: { id },
    at: world.now(),
    ...overrides,
  });
  const append = (channel: string, id: string, overrides: Partial<NewMessage> = {}, bounds = BOUNDS) =>
    history.append(channel, message(id, overrides), bounds);
  const read = (channel: string, query: Partial<HistoryQuery> = {}): Promise<HistoryPage> =>
    history.history(channel, { limit: 100, bounds: BOUNDS, now: world.now(), ...query });
  const fill = async (channel: string, length: number, bounds = BOUNDS): Promise<void> => {
    for (let n = 1; n <= length; n++) await append(channel, `m${n}`, {}, bounds);
  };

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

  describe("a key", () => {
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
      world.advance(IDEMPOTENCY_MS - 1);
      expect(await append("a", "m2", { key: "k" })).toMatchObject({ duplicate: true, message: { id: "m1" } });
      world.advance(1);
      expect(await append("a", "m3", { key: "k" })).toMatchObject({
        duplicate: false,
        message: { offset: 2 },
      });
      world.advance(IDEMPOTENCY_MS - 1);
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

    it("is remembered when its message is past the bounds", async () => {
      const bounds = { size: 1, ageMs: 1 };
      await append("a", "m1", { key: "k" }, bounds);
      world.advance(MINUTE);
      for (let n = 2; n <= 5; n++) await append("a", `m${n}`, {}, bounds);
      expect(await append("a", "m6", { key: "k" }, bounds)).toMatchObject({
        duplicate: true,
        message: { id: "m1", offset: 1 },
      });
    });
  });

  describe("an epoch", () => {
    it("is given to a channel that nobody has used by reading it, and kept by appends", async () => {
      const { epoch, offset } = await history.head("a");
      expect(epoch).not.toBe("");
      expect(offset).toBe(0);
      expect(await read("a")).toEqual({ head: { epoch, offset: 0 }, messages: [], more: false });
      expect((await append("a", "m1")).epoch).toBe(epoch);
      expect(await history.head("a")).toEqual({ epoch, offset: 1 });
    });

    it("is given once to many who come at once", async () => {
      const epochs = await Promise.all([
        ...Array.from({ length: 5 }, async (_, n) => (await append("a", `m${n}`)).epoch),
        ...Array.from({ length: 5 }, async () => (await history.head("a")).epoch),
        ...Array.from({ length: 5 }, async () => (await read("a")).head.epoch),
      ]);
      expect(new Set(epochs).size).toBe(1);
    });

    it("is another in another channel, and in a store that has lost its history", async () => {
      const other = (await make()).store.history;
      const epochs = await Promise.all([history.head("a"), history.head("b"), other.head("a")]);
      expect(new Set(epochs.map(({ epoch }) => epoch)).size).toBe(3);
    });
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

  describe("bounds", () => {
    it("give as many as the size, also where more are kept", async () => {
      await fill("a", 5);
      const bounds = { ...BOUNDS, size: 3 };
      expect(offsets(await read("a", { bounds }))).toEqual([3, 4, 5]);
      expect(await read("a", { bounds, after: 0, limit: 2 })).toMatchObject({ more: true });
      expect(offsets(await read("a", { bounds, after: 0, limit: 2 }))).toEqual([3, 4]);
      expect(await read("a", { bounds, before: 4 })).toMatchObject({
        messages: [{ offset: 3 }],
        more: false,
      });
      expect((await read("a", { bounds: { ...BOUNDS, size: 0 } })).messages).toEqual([]);
    });

    it("give what is younger than the age", async () => {
      await append("a", "old");
      world.advance(MINUTE);
      await append("a", "new");
      const bounds = { ...BOUNDS, ageMs: 2 * MINUTE };
      world.advance(MINUTE - 1);
      expect(ids(await read("a", { bounds }))).toEqual(["old", "new"]);
      world.advance(1);
      expect(ids(await read("a", { bounds }))).toEqual(["new"]);
      expect(ids(await read("a", { bounds, after: 0 }))).toEqual(["new"]);
      expect(await read("a", { bounds, before: 2 })).toMatchObject({ messages: [], more: false });
      world.advance(MINUTE);
      expect(await read("a", { bounds })).toMatchObject({ messages: [], more: false, head: { offset: 2 } });
    });

    it("both hold", async () => {
      await fill("a", 3);
      world.advance(MINUTE);
      await append("a", "m4");
      expect(offsets(await read("a", { bounds: { size: 2, ageMs: 2 * MINUTE } }))).toEqual([3, 4]);
      expect(offsets(await read("a", { bounds: { size: 2, ageMs: MINUTE } }))).toEqual([4]);
    });

    it("leave no gaps where clocks differ", async () => {
      const start = world.now();
      for (const late of [20, 10, 20, 0, 30]) await append("a", `m${late}`, { at: start + late });
      for (const age of [0, 5, 15, 25, 30]) {
        const kept = offsets(
          await read("a", { bounds: { ...BOUNDS, ageMs: MINUTE }, now: start + MINUTE + age }),
        );
        expect(kept).toEqual([1, 2, 3, 4, 5].slice(5 - kept.length));
      }
    });

    it("never take the head, however long the channel was silent", async () => {
      const bounds = { size: 2, ageMs: MINUTE };
      await fill("a", 7, bounds);
      const head = await history.head("a");
      world.advance(400 * 24 * 60 * MINUTE);
      for (let n = 0; n < 100; n++) await append(`other-${n % 3}`, `m${n}`, {}, bounds);
      expect(await history.head("a")).toEqual(head);
      expect(await read("a", { bounds })).toEqual({ head, messages: [], more: false });
      expect(await append("a", "m8", {}, bounds)).toMatchObject({
        epoch: head.epoch,
        message: { offset: 8 },
      });
    });
  });

  describe("a fan-out", () => {
    const unfinished = async (before = world.now() + 1): Promise<Unfinished[]> => {
      const found: Unfinished[] = [];
      for await (const each of history.unfinished(before)) found.push(each);
      return found.sort((a, b) => a.message.offset - b.message.offset);
    };

    it("may be finished and kept the place of twice, or when there is no such message", async () => {
      await append("a", "m1");
      for (let times = 0; times < 2; times++) await history.checkpoint("a", 1, "here");
      for (let times = 0; times < 2; times++) await history.finish("a", 1);
      await history.checkpoint("a", 1, "late");
      for (const [channel, offset] of [
        ["a", 2],
        ["nobody", 1],
      ] as const) {
        await history.checkpoint(channel, offset, "here");
        await history.finish(channel, offset);
      }
      expect(await unfinished()).toEqual([]);
      expect(await history.head("a")).toMatchObject({ offset: 1 });
      expect(await history.head("nobody")).toMatchObject({ offset: 0 });
      expect(ids(await read("a"))).toEqual(["m1"]);
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
      await history.finish("a", 1);
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
      await history.finish("a", 1);
      await append("a", "m2", { key: "k" });
      expect(await unfinished()).toEqual([]);
    });

    it("is told of with its message, also when that is past the bounds", async () => {
      const bounds = { size: 1, ageMs: 1 };
      await append("a", "kept", {}, bounds);
      for (let n = 2; n <= 200; n++) {
        world.advance(1);
        await append("a", `m${n}`, {}, bounds);
        await history.finish("a", n);
      }
      expect(await unfinished()).toMatchObject([{ channel: "a", message: { id: "kept", offset: 1 } }]);
      await history.finish("a", 1);
      expect(await unfinished()).toEqual([]);
    });

    it("may be finished while they are told of", async () => {
      for (let n = 1; n <= 30; n++) await append(`c${n % 3}`, `m${n}`);
      const seen: string[] = [];
      for await (const { channel, message } of history.unfinished(world.now() + 1)) {
        seen.push(message.id);
        await history.finish(channel, message.offset);
      }
      expect(new Set(seen)).toEqual(new Set(Array.from({ length: 30 }, (_, n) => `m${n + 1}`)));
      expect(seen).toHaveLength(30);
      expect(await unfinished()).toEqual([]);
    });
  });

  it("keeps channels apart, whatever they are called", async () => {
    const heads = await Promise.all(AWKWARD_NAMES.map((name) => history.head(name)));
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      // As many as no other has.
      for (let times = 0; times <= n % 3; times++) await append(name, `${n}-${times}`, { key: `k${times}` });
    }
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      const page = await read(name);
      expect(page.head).toEqual({ epoch: heads[n]!.epoch, offset: 1 + (n % 3) });
      expect(ids(page)).toEqual(Array.from({ length: 1 + (n % 3) }, (_, times) => `${n}-${times}`));
    }
    await history.finish(AWKWARD_NAMES[0]!, 1);
    if (unfinishedToldBy !== undefined) return;
    const left: string[] = [];
    for await (const { channel, message } of history.unfinished(world.now() + 1)) {
      if (message.offset === 1) left.push(channel);
    }
    expect(left.sort()).toEqual(AWKWARD_NAMES.slice(1).toSorted());
  });

  it("agrees with a list that is searched, whatever is appended and asked", { timeout: 60_000 }, async () => {
    const step = fc.record({
      channel: fc.constantFrom("a", "b"),
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * MINUTE })),
      key: fc.option(fc.constantFrom("k1", "k2"), { nil: undefined }),
      ask: fc.record(
        { after: fc.nat({ max: 12 }), before: fc.nat({ max: 12 }), limit: fc.integer({ min: 1, max: 6 }) },
        { requiredKeys: ["limit"] },
      ),
    });
    const bounds = fc.record({ size: fc.nat({ max: 8 }), ageMs: fc.integer({ min: 1, max: 6 * MINUTE }) });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), bounds, async (steps, bounds) => {
        run++;
        const models = { a: new ModelChannel(), b: new ModelChannel() };
        for (const [n, { channel, waitMs, key, ask }] of steps.entries()) {
          world.advance(waitMs);
          const sent = message(`m${n}`, key === undefined ? {} : { key });
          const expected = models[channel].append(sent);
          const appended = await history.append(`${channel}${run}`, sent, bounds);
          expect(appended.duplicate).toBe(expected.duplicate);
          expect(appended.message).toMatchObject({ id: expected.id, offset: expected.offset });
          const query = { ...ask, bounds, now: world.now() };
          const page = await history.history(`${channel}${run}`, query);
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
    if (known !== undefined && message.at - known.at < IDEMPOTENCY_MS) return { ...known, duplicate: true };
    const stored = { ...message, offset: this.messages.length + 1 };
    this.messages.push(stored);
    if (key !== undefined) this.#keys.set(key, stored);
    return { ...stored, duplicate: false };
  }

  page({ after, before, limit, bounds, now }: HistoryQuery): Omit<HistoryPage, "head"> {
    const asked = this.messages.filter(
      ({ offset, at }) =>
        offset > this.messages.length - bounds.size &&
        now - at < bounds.ageMs &&
        offset > (after ?? 0) &&
        offset < (before ?? Number.POSITIVE_INFINITY),
    );
    const messages = after === undefined ? asked.slice(-limit) : asked.slice(0, limit);
    return { messages, more: messages.length < asked.length };
  }
}

function ids(page: HistoryPage): string[] {
  return page.messages.map(({ id }) => id);
}

function offsets(page: HistoryPage): number[] {
  return page.messages.map(({ offset }) => offset);
}
