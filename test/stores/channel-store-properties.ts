import assert from "node:assert/strict";
import fc from "fast-check";
import { beforeEach, describe, it } from "vitest";
import {
  type ChannelStoreUnderTest,
  type CreateChannelStore,
  historyDriver,
  MINUTE,
  membersDriver,
} from "../../src/store/contracts/channel-store-under-test.ts";
import { assertMatches } from "../../src/store/contracts/test-runner.ts";
import {
  type ChannelHistory,
  type ChannelMembers,
  type ChunkResult,
  type HistoryPage,
  type HistoryQuery,
  IDEMPOTENCY_WINDOW_MS,
  type MessageChunk,
  type NewMessage,
  type StoredMessage,
} from "../../src/store/index.ts";

/** Properties of `ChannelStore` that random calls check, for any backend. @param runs of each property */
export function channelStoreProperties(title: string, create: CreateChannelStore, runs = 10): void {
  describe(title, () => {
    let underTest: ChannelStoreUnderTest;
    let history: ChannelHistory;
    let members: ChannelMembers;
    const { message } = historyDriver(() => underTest);
    const { add, connections, users } = membersDriver(() => underTest);

    beforeEach(async () => {
      underTest = await create();
      ({ history, members } = underTest.store);
    });

    const split = (message: number, ...texts: string[]): MessageChunk[] =>
      texts.map((text, index) => ({ message, index, count: texts.length, text }));
    const addChunk = (chunk: MessageChunk): Promise<ChunkResult> =>
      underTest.store.chunks.add("c1", chunk, underTest.now());

    it("equals a searched list for any appends and queries", async () => {
      const step = fc.record({
        channel: fc.constantFrom("a", "b"),
        waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * MINUTE })),
        key: fc.option(fc.constantFrom("k1", "k2"), { nil: undefined }),
        ask: fc.record(
          { after: fc.nat({ max: 12 }), before: fc.nat({ max: 12 }), limit: fc.integer({ min: 1, max: 6 }) },
          { requiredKeys: ["limit"] },
        ),
      });
      const retention = fc.record({
        size: fc.nat({ max: 8 }),
        ageMs: fc.integer({ min: 1, max: 6 * MINUTE }),
      });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), retention, async (steps, retention) => {
          run++;
          const models = { a: new ModelChannel(), b: new ModelChannel() };
          for (const [n, { channel, waitMs, key, ask }] of steps.entries()) {
            underTest.advance(waitMs);
            const sent = message(`m${n}`, key === undefined ? {} : { key });
            const expected = models[channel].append(sent);
            const appended = await history.append(`${channel}${run}`, sent, retention);
            assert.equal(appended.duplicate, expected.duplicate);
            assertMatches(appended.message, { id: expected.id, offset: expected.offset });
            const query = { ...ask, retention, now: underTest.now() };
            const page = await history.read(`${channel}${run}`, query);
            assert.deepEqual(page, { ...models[channel].page(query), head: page.head });
            assert.equal(page.head.offset, models[channel].messages.length);
          }
        }),
        { numRuns: runs },
      );
    });

    describe("joins and leaves, sequential or concurrent", () => {
      const OWNERS = { c1: "ada", c2: "ada", c3: "ada", c4: "bob", c5: "bob", c6: undefined } as const;
      const CONNECTIONS = Object.keys(OWNERS) as (keyof typeof OWNERS)[];
      const move = fc.record({ connection: fc.constantFrom(...CONNECTIONS), comes: fc.boolean() });
      const userOf = (connection: keyof typeof OWNERS) => OWNERS[connection];
      let run = 0;

      it("equal a set when they are sequential", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(move, { maxLength: 20 }), async (moves) => {
            const channel = `one-${run++}`;
            const model = new Set<keyof typeof OWNERS>();
            const there = (user: string) => [...model].some((each) => userOf(each) === user);
            for (const { connection, comes } of moves) {
              const user = userOf(connection);
              const before = user !== undefined && there(user);
              if (comes) {
                model.add(connection);
                assert.equal(await add(channel, connection, user), user !== undefined && !before);
              } else {
                model.delete(connection);
                const left = await members.remove(channel, connection);
                assert.equal(left?.userId, before && !there(user) ? user : undefined);
              }
            }
            assert.deepEqual(await connections(channel), [...model].sort());
            assert.equal(await members.count(channel, underTest.now()), model.size);
            assert.deepEqual(await users(channel), ["ada", "bob"].filter(there));
          }),
          { numRuns: runs },
        );
      });

      it("have a leave for every join when they are concurrent", async () => {
        const round = fc.uniqueArray(move, { selector: ({ connection }) => connection, maxLength: 6 });
        await fc.assert(
          fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
            const channel = `all-${run++}`;
            const model = new Set<keyof typeof OWNERS>();
            const balance = new Map<string, number>();
            const addToBalance = (user: string, by: number) =>
              balance.set(user, (balance.get(user) ?? 0) + by);
            for (const moves of rounds) {
              await Promise.all(
                moves.map(async ({ connection, comes }) => {
                  if (comes) {
                    model.add(connection);
                    if (await add(channel, connection, userOf(connection)))
                      addToBalance(userOf(connection)!, 1);
                  } else {
                    model.delete(connection);
                    const left = await members.remove(channel, connection);
                    if (left !== undefined) addToBalance(left.userId, -1);
                  }
                }),
              );
              assert.deepEqual(await connections(channel), [...model].sort());
              const there = [...new Set([...model].flatMap((each) => userOf(each) ?? []))].sort();
              assert.deepEqual(await users(channel), there);
              assert.deepEqual(
                [...balance].flatMap(([user, joins]) => (joins > 0 ? [user] : [])).sort(),
                there,
              );
              assert.equal(
                [...balance.values()].every((joins) => joins === 0 || joins === 1),
                true,
              );
            }
          }),
          { numRuns: runs },
        );
      });
    });

    it("return the complete message to one of several concurrent calls", async () => {
      const property = async (texts: string[], message: number) => {
        const all = split(message, ...texts);
        const joined = await Promise.all([...all, ...all].map((chunk) => addChunk(chunk)));
        assert.deepEqual(
          joined.filter((one) => typeof one === "object"),
          [{ whole: texts.join("") }],
        );
        assert.equal(joined.filter((one) => one === "opened").length, 1);
        assert.equal(joined.filter((one) => one === "kept").length, 2 * texts.length - 2);
      };
      const text = fc.string({ unit: "grapheme", minLength: 1 });
      let message = 0;
      const lists = fc.array(text, { minLength: 2, maxLength: 16 });
      await fc.assert(
        fc.asyncProperty(lists, (texts) => property(texts, ++message)),
        { numRuns: runs },
      );
    });
  });
}

/** The simplest channel: a list of all messages, and a search. */
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
