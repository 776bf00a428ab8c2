import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { ChannelMembers, Json, Member, Presence } from "../src/store/index.ts";
import {
  AWKWARD_NAMES,
  type ChannelCasesOptions,
  type ChannelsUnderTest,
  type MakeChannels,
} from "./channels.cases.ts";

const MINUTE = 60_000;

/** Everything that `ChannelMembers` promises. */
export function memberCases(make: MakeChannels, { runs = 10 }: ChannelCasesOptions): void {
  let world: ChannelsUnderTest;
  let members: ChannelMembers;

  beforeEach(async () => {
    world = await make();
    members = world.store.members;
  });

  const member = (connectionId: string, userId?: string, overrides: Partial<Member> = {}): Member => ({
    connectionId,
    ...(userId === undefined ? {} : { userId }),
    endpoint: "https://api.example.com/test",
    joinedAt: world.now(),
    expiresAt: world.now() + 130 * MINUTE,
    ...overrides,
  });
  const add = (channel: string, connectionId: string, userId?: string, overrides: Partial<Member> = {}) =>
    members.add(channel, member(connectionId, userId, overrides));
  const everyone = async (channel: string): Promise<Member[]> => {
    const found: Member[] = [];
    for await (const page of members.listMembers(channel, world.now())) found.push(...page.members);
    return found;
  };
  const connections = async (channel: string) =>
    (await everyone(channel)).map(({ connectionId }) => connectionId).sort();
  const present = async (channel: string): Promise<Presence[]> => {
    const found: Presence[] = [];
    for await (const each of members.listPresence(channel, world.now())) found.push(each);
    return found.sort((a, b) => (a.userId < b.userId ? -1 : 1));
  };
  const users = async (channel: string) => (await present(channel)).map(({ userId }) => userId);
  const channelsOf = async (connectionId: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const channel of members.listChannels(connectionId)) found.push(channel);
    return found.sort();
  };

  describe("add and remove", () => {
    it("give back every field of a member, also of one without a user", async () => {
      const full = member("c1", 'ada"\u0000é\u{1F600}', { joinedAt: world.now() - 7 });
      const bare = member("c2");
      await members.add("a", full);
      await members.add("a", bare);
      const found = (await everyone("a")).sort((a, b) => (a.connectionId < b.connectionId ? -1 : 1));
      expect(found).toStrictEqual([full, bare]);
    });

    it("change nothing the second time", async () => {
      const own = member("c1", "ada");
      expect(await members.add("a", own)).toBe(true);
      expect(await members.add("a", own)).toBe(false);
      expect(await connections("a")).toEqual(["c1"]);
      expect(await members.count("a", world.now())).toBe(1);
      expect(await members.remove("a", "c1")).toEqual({ userId: "ada", since: own.joinedAt });
      expect(await members.remove("a", "c1")).toBeUndefined();
      expect(await connections("a")).toEqual([]);
      expect(await members.count("a", world.now())).toBe(0);
    });

    it("take a connection that was never there, and one that comes back", async () => {
      expect(await members.remove("a", "nobody")).toBeUndefined();
      await add("a", "c1", "ada");
      await members.remove("a", "c1");
      world.advance(5);
      expect(await add("a", "c1", "ada")).toBe(true);
      expect(await present("a")).toEqual([{ userId: "ada", since: world.now() }]);
    });

    it("tell of a user's tabs once that they have come, and once that they have left", async () => {
      const since = world.now();
      expect(await add("a", "c1", "ada")).toBe(true);
      world.advance(5);
      expect(await add("a", "c2", "ada")).toBe(false);
      expect(await add("a", "c3", "bob")).toBe(true);
      expect(await members.remove("a", "c1")).toBeUndefined();
      expect(await present("a")).toEqual([
        { userId: "ada", since },
        { userId: "bob", since: since + 5 },
      ]);
      expect(await members.remove("a", "c2")).toEqual({ userId: "ada", since });
      expect(await users("a")).toEqual(["bob"]);
    });

    it("tell it once when a user's tabs come, or leave, all at once", async () => {
      const tabs = Array.from({ length: 12 }, (_, n) => `c${n}`);
      const joined = await Promise.all(tabs.map((tab) => add("a", tab, "ada")));
      expect(joined.filter(Boolean)).toHaveLength(1);
      expect(await connections("a")).toEqual(tabs.toSorted());
      const left = await Promise.all(tabs.map((tab) => members.remove("a", tab)));
      expect(left.filter((each) => each !== undefined)).toMatchObject([{ userId: "ada" }]);
      expect(await connections("a")).toEqual([]);
      expect(await users("a")).toEqual([]);
    });

    it("put members without a user in no presence", async () => {
      expect(await add("a", "c1")).toBe(false);
      expect(await add("a", "c2")).toBe(false);
      expect(await users("a")).toEqual([]);
      expect(await members.count("a", world.now())).toBe(2);
      expect(await members.remove("a", "c1")).toBeUndefined();
      expect(await members.remove("a", "c2")).toBeUndefined();
    });

    it("concern one channel, of however many the connection is in", async () => {
      expect(await add("a", "c1", "ada")).toBe(true);
      expect(await add("b", "c1", "ada")).toBe(true);
      expect(await members.remove("a", "c1")).toMatchObject({ userId: "ada" });
      expect(await users("b")).toEqual(["ada"]);
      expect(await connections("b")).toEqual(["c1"]);
    });
  });

  describe("a member past its time", () => {
    it("is in no page, no count and no presence", async () => {
      await add("a", "old", "ada", { expiresAt: world.now() + MINUTE });
      await add("a", "new", "bob");
      world.advance(MINUTE - 1);
      expect(await connections("a")).toEqual(["new", "old"]);
      expect(await users("a")).toEqual(["ada", "bob"]);
      world.advance(1);
      expect(await connections("a")).toEqual(["new"]);
      expect(await members.count("a", world.now())).toBe(1);
      expect(await users("a")).toEqual(["bob"]);
      expect(await members.setState("a", "ada", "here")).toBe(false);
    });

    it("leaves its user there by another tab", async () => {
      await add("a", "old", "ada", { expiresAt: world.now() + MINUTE });
      await add("a", "new", "ada");
      world.advance(MINUTE);
      expect(await users("a")).toEqual(["ada"]);
      expect(await members.setState("a", "ada", "here")).toBe(true);
      expect(await members.remove("a", "old")).toBeUndefined();
      expect(await members.remove("a", "new")).toMatchObject({ userId: "ada" });
    });

    it("does not keep its user from coming anew", async () => {
      await add("a", "old", "ada", { expiresAt: world.now() + MINUTE });
      world.advance(MINUTE);
      expect(await add("a", "new", "ada")).toBe(true);
      expect(await present("a")).toEqual([{ userId: "ada", since: world.now() }]);
    });
  });

  describe("pages", () => {
    /** More than two pages of members. */
    const crowd = async (length = 2 * world.membersPerPage + 3): Promise<string[]> => {
      const ids = Array.from({ length }, (_, n) => `c${n}`);
      for (let at = 0; at < ids.length; at += 50) {
        await Promise.all(ids.slice(at, at + 50).map((id, n) => add("a", id, n % 2 ? undefined : `u${n}`)));
      }
      return ids;
    };

    it("give everyone once, and a cursor with each but the last", async () => {
      const all = await crowd();
      const seen: string[] = [];
      const cursors: (string | undefined)[] = [];
      for await (const page of members.listMembers("a", world.now())) {
        seen.push(...page.members.map(({ connectionId }) => connectionId));
        cursors.push(page.cursor);
      }
      expect(seen.sort()).toEqual(all.toSorted());
      expect(cursors.length).toBeGreaterThanOrEqual(3);
      expect(cursors.map((cursor) => cursor !== undefined)).toEqual(
        cursors.map((_, at) => at < cursors.length - 1),
      );
      expect(await members.count("a", world.now())).toBe(all.length);
    });

    it("go on behind each cursor with those who come next", async () => {
      await crowd();
      const all: Member[] = [];
      const behind = new Map<string, number>();
      for await (const page of members.listMembers("a", world.now())) {
        all.push(...page.members);
        if (page.cursor !== undefined) behind.set(page.cursor, all.length);
      }
      expect(behind.size).toBeGreaterThanOrEqual(2);
      for (const [cursor, length] of behind) {
        const rest: Member[] = [];
        for await (const page of members.listMembers("a", world.now(), cursor)) rest.push(...page.members);
        expect(new Set(rest)).toEqual(new Set(all.slice(length)));
        expect(rest).toHaveLength(all.length - length);
      }
    });

    it("give everyone where they fill their pages", async () => {
      const all = await crowd(2 * world.membersPerPage);
      expect(await connections("a")).toEqual(all.toSorted());
    });

    it("go on behind a cursor, also when those before it have left", async () => {
      const all = await crowd();
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        // As another process does, that knows nothing but the cursor.
        for await (const page of members.listMembers("a", world.now(), cursor)) {
          seen.push(...page.members.map(({ connectionId }) => connectionId));
          await Promise.all(page.members.map(({ connectionId }) => members.remove("a", connectionId)));
          cursor = page.cursor;
          break;
        }
      } while (cursor !== undefined);
      expect(seen.toSorted()).toEqual(all.toSorted());
      expect(await connections("a")).toEqual([]);
    });

    it("see everyone who was added before, while others come and go", async () => {
      const all = await crowd();
      const seen = new Set<string>();
      let pages = 0;
      for await (const page of members.listMembers("a", world.now())) {
        for (const { connectionId } of page.members) seen.add(connectionId);
        await add("a", `late-${pages++}`);
        await add("a", `brief-${pages}`);
        await members.remove("a", `brief-${pages}`);
      }
      expect([...seen]).toEqual(expect.arrayContaining(all));
      expect(pages).toBeLessThanOrEqual(10);
    });

    it("see a member as soon as it was added", async () => {
      for (let n = 0; n < 20; n++) {
        const adding = [add("a", `c${n}`, "ada"), add("b", `c${n}`)];
        await adding[0];
        expect(await connections("a")).toContain(`c${n}`);
        await adding[1];
      }
    });

    it("may be none at all in a channel without members", async () => {
      expect(await everyone("nobody")).toEqual([]);
      expect(await members.count("nobody", world.now())).toBe(0);
      expect(await users("nobody")).toEqual([]);
    });
  });

  it("tells the channels of a connection", async () => {
    for (const channel of ["a", "b", "c"]) await add(channel, "c1", "ada");
    await add("d", "c2", "ada");
    expect(await channelsOf("c1")).toEqual(["a", "b", "c"]);
    await members.remove("b", "c1");
    expect(await channelsOf("c1")).toEqual(["a", "c"]);
    for await (const channel of members.listChannels("c1")) await members.remove(channel, "c1");
    expect(await channelsOf("c1")).toEqual([]);
    expect(await channelsOf("nobody")).toEqual([]);
    expect(await channelsOf("__proto__")).toEqual([]);
  });

  describe("state", () => {
    it("is what the user shows, until it is taken back", async () => {
      await add("a", "c1", "ada");
      expect(await present("a")).toStrictEqual([{ userId: "ada", since: world.now() }]);
      const state: Json = { typing: true, ["__proto__"]: [null, "\u{1F600}"] };
      expect(await members.setState("a", "ada", state)).toBe(true);
      expect(await members.setState("a", "ada", state)).toBe(true);
      expect(await present("a")).toStrictEqual([{ userId: "ada", since: world.now(), state }]);
      expect(await members.setState("a", "ada", undefined)).toBe(true);
      expect(await present("a")).toStrictEqual([{ userId: "ada", since: world.now() }]);
      expect(await members.setState("a", "ada", null)).toBe(true);
      expect(await present("a")).toStrictEqual([{ userId: "ada", since: world.now(), state: null }]);
    });

    it("is written only where the user is", async () => {
      await add("a", "c1", "ada");
      await add("a", "c2");
      expect(await members.setState("a", "bob", "here")).toBe(false);
      expect(await members.setState("b", "ada", "here")).toBe(false);
      await members.remove("a", "c1");
      expect(await members.setState("a", "ada", "here")).toBe(false);
      expect(await present("a")).toEqual([]);
    });

    it("stays with one of two tabs, and goes with the last, which tells it", async () => {
      await add("a", "c1", "ada");
      await members.setState("a", "ada", "here");
      await add("a", "c2", "ada");
      await members.remove("a", "c1");
      expect(await present("a")).toMatchObject([{ userId: "ada", state: "here" }]);
      expect(await members.remove("a", "c2")).toMatchObject({ userId: "ada", state: "here" });
      await add("a", "c3", "ada");
      expect(await present("a")).toStrictEqual([{ userId: "ada", since: world.now() }]);
    });

    it("does not see what its caller does to it afterwards", async () => {
      const list: Json[] = ["x"];
      await add("a", "c1", "ada");
      await members.setState("a", "ada", { list });
      list.push("y");
      expect(await present("a")).toMatchObject([{ state: { list: ["x"] } }]);
    });
  });

  describe("those who are present", () => {
    const page = async (after: string | undefined, size: number): Promise<string[]> => {
      const found: string[] = [];
      for await (const { userId } of members.listPresence("a", world.now(), after)) {
        found.push(userId);
        if (found.length === size) break;
      }
      return found;
    };
    const USERS = Array.from({ length: 20 }, (_, n) => `user-${n}`);

    it("are there once each, page by page behind the last of one", async () => {
      for (const name of [...USERS, ...AWKWARD_NAMES]) await add("a", `c-${name}`, name);
      const found: string[] = [];
      for (let next = await page(undefined, 3); next.length > 0; next = await page(found.at(-1), 3)) {
        found.push(...next);
      }
      expect(found.sort()).toEqual([...USERS, ...AWKWARD_NAMES].sort());
    });

    it("keep their order, whoever comes and goes between the pages, the one it goes on behind too", async () => {
      for (const name of USERS) await add("a", `c-${name}`, name);
      const all = await page(undefined, USERS.length);
      const first = await page(undefined, 5);
      expect(first).toEqual(all.slice(0, 5));
      for (const name of [first[0], first[4]]) await members.remove("a", `c-${name}`);
      await add("a", "late", "late");
      const rest = await page(first[4], USERS.length);
      expect(rest.filter((name) => name !== "late")).toEqual(all.slice(5));
      await add("a", "again", first[0]);
      expect(await page(first[4], USERS.length)).toEqual(rest);
    });

    it("are none behind the last, nor where nobody is", async () => {
      await add("a", "c1", "ada");
      expect(await page("ada", 1)).toEqual([]);
      await members.remove("a", "c1");
      expect([await page(undefined, 1), await page("ada", 1)]).toEqual([[], []]);
    });
  });

  it("keeps channels and users apart, whatever they are called", async () => {
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      expect(await add(name, `c${n}`, `u${n}`)).toBe(true);
      expect(await add("users", `c${n}`, name)).toBe(true);
      expect(await members.setState("users", name, n)).toBe(true);
    }
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      expect(await connections(name)).toEqual([`c${n}`]);
      expect(await users(name)).toEqual([`u${n}`]);
      expect(await channelsOf(`c${n}`)).toEqual([name, "users"].sort());
    }
    const states = new Map((await present("users")).map(({ userId, state }) => [userId, state]));
    expect(states).toEqual(new Map(AWKWARD_NAMES.map((name, n) => [name, n])));
    expect(await members.remove(AWKWARD_NAMES[0]!, "c0")).toMatchObject({ userId: "u0" });
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      expect(await connections(name)).toEqual(n === 0 ? [] : [`c${n}`]);
    }
  });

  it("takes users whose names are long", async () => {
    // A sort key of DynamoDB's has 1,024 bytes.
    const names = [
      "a".repeat(1_019),
      "a".repeat(1_020),
      `${"a".repeat(1_020)}b`,
      "é".repeat(5_000),
      "\ud800".repeat(400),
    ];
    for (const [n, name] of names.entries()) {
      expect(await add("long", `c${n}`, name)).toBe(true);
      expect(await add("long", `d${n}`, name)).toBe(false);
      expect(await members.setState("long", name, n)).toBe(true);
    }
    const states = new Map((await present("long")).map(({ userId, state }) => [userId, state]));
    expect(states).toEqual(new Map(names.map((name, n) => [name, n])));
    const behind: string[] = [];
    for await (const { userId } of members.listPresence("long", world.now())) behind.push(userId);
    const rest: string[] = [];
    for await (const { userId } of members.listPresence("long", world.now(), behind[1])) rest.push(userId);
    expect(rest).toEqual(behind.slice(2));
    for (const [n, name] of names.entries()) {
      expect(await members.remove("long", `c${n}`)).toBeUndefined();
      expect(await members.remove("long", `d${n}`)).toMatchObject({ userId: name });
    }
    expect(await users("long")).toEqual([]);
  });

  describe("whoever comes and goes, alone or all at once", () => {
    const OWNERS = { c1: "ada", c2: "ada", c3: "ada", c4: "bob", c5: "bob", c6: undefined } as const;
    const CONNECTIONS = Object.keys(OWNERS) as (keyof typeof OWNERS)[];
    const move = fc.record({ connection: fc.constantFrom(...CONNECTIONS), comes: fc.boolean() });
    const userOf = (connection: keyof typeof OWNERS) => OWNERS[connection];
    let run = 0;

    it("agree with a set, one by one", async () => {
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
              expect(await add(channel, connection, user)).toBe(user !== undefined && !before);
            } else {
              model.delete(connection);
              const left = await members.remove(channel, connection);
              expect(left?.userId).toBe(before && !there(user) ? user : undefined);
            }
          }
          expect(await connections(channel)).toEqual([...model].sort());
          expect(await members.count(channel, world.now())).toBe(model.size);
          expect(await users(channel)).toEqual(["ada", "bob"].filter(there));
        }),
        { numRuns: runs },
      );
    });

    it("have a leave for every join, all at once", async () => {
      const round = fc.uniqueArray(move, { selector: ({ connection }) => connection, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
          const channel = `all-${run++}`;
          const model = new Set<keyof typeof OWNERS>();
          const balance = new Map<string, number>();
          const tell = (user: string, by: number) => balance.set(user, (balance.get(user) ?? 0) + by);
          for (const moves of rounds) {
            await Promise.all(
              moves.map(async ({ connection, comes }) => {
                if (comes) {
                  model.add(connection);
                  if (await add(channel, connection, userOf(connection))) tell(userOf(connection)!, 1);
                } else {
                  model.delete(connection);
                  const left = await members.remove(channel, connection);
                  if (left !== undefined) tell(left.userId, -1);
                }
              }),
            );
            expect(await connections(channel)).toEqual([...model].sort());
            const there = [...new Set([...model].flatMap((each) => userOf(each) ?? []))].sort();
            expect(await users(channel)).toEqual(there);
            expect([...balance].flatMap(([user, joins]) => (joins > 0 ? [user] : [])).sort()).toEqual(there);
            expect([...balance.values()].every((joins) => joins === 0 || joins === 1)).toBe(true);
          }
        }),
        { numRuns: runs },
      );
    });
  });
}
