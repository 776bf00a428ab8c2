import assert from "node:assert/strict";
import { type ChannelMembers, FEW_MEMBERS, type Member, type MemberPage } from "./channel-members.ts";
import {
  AWKWARD_NAMES,
  type ChannelStoreUnderTest,
  type CreateChannelStore,
  MINUTE,
  membersDriver,
} from "./channel-store-under-test.ts";
import type { Json } from "./json.ts";
import { assertMatches, type TestRunner, withSetUp } from "./test-runner.ts";

/** Defines a test for every guarantee of `ChannelMembers`. */
export function membersCases(runner: TestRunner, create: CreateChannelStore): void {
  let underTest: ChannelStoreUnderTest;
  let members: ChannelMembers;

  const it = withSetUp(runner.it, async () => {
    underTest = await create();
    members = underTest.store.members;
  });

  const { member, add, everyone, connections, present, users } = membersDriver(() => underTest);
  const channelsOf = async (connectionId: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const channel of members.listChannels(connectionId)) found.push(channel);
    return found.sort();
  };

  runner.describe("add and remove", () => {
    it("store every field of a member, with and without a user", async () => {
      const full = member("c1", 'ada"\u0000é\u{1F600}', { joinedAt: underTest.now() - 7 });
      const bare = member("c2");
      await members.add("a", full);
      await members.add("a", bare);
      const found = (await everyone("a")).sort((a, b) => (a.connectionId < b.connectionId ? -1 : 1));
      assert.deepEqual(found, [full, bare]);
    });

    it("are idempotent", async () => {
      const own = member("c1", "ada");
      assert.equal(await members.add("a", own), true);
      assert.equal(await members.add("a", own), false);
      assert.deepEqual(await connections("a"), ["c1"]);
      assert.equal(await members.count("a", underTest.now()), 1);
      assert.deepEqual(await members.remove("a", "c1"), { userId: "ada", since: own.joinedAt });
      assert.equal(await members.remove("a", "c1"), undefined);
      assert.deepEqual(await connections("a"), []);
      assert.equal(await members.count("a", underTest.now()), 0);
    });

    it("accept a connection that was never added, and one that returns", async () => {
      assert.equal(await members.remove("a", "nobody"), undefined);
      await add("a", "c1", "ada");
      await members.remove("a", "c1");
      underTest.advance(5);
      assert.equal(await add("a", "c1", "ada"), true);
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now() }]);
    });

    it("report a user's first tab once, and the last tab once", async () => {
      const since = underTest.now();
      assert.equal(await add("a", "c1", "ada"), true);
      underTest.advance(5);
      assert.equal(await add("a", "c2", "ada"), false);
      assert.equal(await add("a", "c3", "bob"), true);
      assert.equal(await members.remove("a", "c1"), undefined);
      assert.deepEqual(await present("a"), [
        { userId: "ada", since },
        { userId: "bob", since: since + 5 },
      ]);
      assert.deepEqual(await members.remove("a", "c2"), { userId: "ada", since });
      assert.deepEqual(await users("a"), ["bob"]);
    });

    it("report a user once when all tabs join or leave concurrently", async () => {
      const tabs = Array.from({ length: 12 }, (_, n) => `c${n}`);
      const joined = await Promise.all(tabs.map((tab) => add("a", tab, "ada")));
      assert.equal(joined.filter(Boolean).length, 1);
      assert.deepEqual(await connections("a"), tabs.toSorted());
      const left = await Promise.all(tabs.map((tab) => members.remove("a", tab)));
      assertMatches(
        left.filter((each) => each !== undefined),
        [{ userId: "ada" }],
      );
      assert.deepEqual(await connections("a"), []);
      assert.deepEqual(await users("a"), []);
    });

    it("ignore members without a user in presence", async () => {
      assert.equal(await add("a", "c1"), false);
      assert.equal(await add("a", "c2"), false);
      assert.deepEqual(await users("a"), []);
      assert.equal(await members.count("a", underTest.now()), 2);
      assert.equal(await members.remove("a", "c1"), undefined);
      assert.equal(await members.remove("a", "c2"), undefined);
    });

    it("change only the given channel", async () => {
      assert.equal(await add("a", "c1", "ada"), true);
      assert.equal(await add("b", "c1", "ada"), true);
      assertMatches(await members.remove("a", "c1"), { userId: "ada" });
      assert.deepEqual(await users("b"), ["ada"]);
      assert.deepEqual(await connections("b"), ["c1"]);
    });
  });

  runner.describe("an expired member", () => {
    it("is absent from pages, count and presence", async () => {
      await add("a", "old", "ada", { expiresAt: underTest.now() + MINUTE });
      await add("a", "new", "bob");
      underTest.advance(MINUTE - 1);
      assert.deepEqual(await connections("a"), ["new", "old"]);
      assert.deepEqual(await users("a"), ["ada", "bob"]);
      underTest.advance(1);
      assert.deepEqual(await connections("a"), ["new"]);
      assert.equal(await members.count("a", underTest.now()), 1);
      assert.deepEqual(await users("a"), ["bob"]);
      assert.equal(await members.setState("a", "ada", "here"), false);
    });

    it("does not end its user's presence in another tab", async () => {
      await add("a", "old", "ada", { expiresAt: underTest.now() + MINUTE });
      await add("a", "new", "ada");
      underTest.advance(MINUTE);
      assert.deepEqual(await users("a"), ["ada"]);
      assert.equal(await members.setState("a", "ada", "here"), true);
      assert.equal(await members.remove("a", "old"), undefined);
      assertMatches(await members.remove("a", "new"), { userId: "ada" });
    });

    it("does not prevent its user from joining again", async () => {
      await add("a", "old", "ada", { expiresAt: underTest.now() + MINUTE });
      underTest.advance(MINUTE);
      assert.equal(await add("a", "new", "ada"), true);
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now() }]);
    });
  });

  runner.describe("pages", () => {
    /** Adds more than two pages of members. */
    const crowd = async (length = 2 * underTest.membersPerPage + 3, channel = "a"): Promise<string[]> => {
      const ids = Array.from({ length }, (_, n) => `c${n}`);
      for (let at = 0; at < ids.length; at += 50) {
        await Promise.all(
          ids.slice(at, at + 50).map((id, n) => add(channel, id, n % 2 ? undefined : `u${n}`)),
        );
      }
      return ids;
    };

    it("list every member once, each but the last page with a cursor", async () => {
      const all = await crowd();
      const seen: string[] = [];
      const cursors: (string | undefined)[] = [];
      for await (const page of members.listMembers("a", underTest.now())) {
        seen.push(...page.members.map(({ connectionId }) => connectionId));
        cursors.push(page.cursor);
      }
      assert.deepEqual(seen.sort(), all.toSorted());
      assert.ok(cursors.length >= 3);
      assert.deepEqual(
        cursors.map((cursor) => cursor !== undefined),
        cursors.map((_, at) => at < cursors.length - 1),
      );
      assert.equal(await members.count("a", underTest.now()), all.length);
    });

    it("continue after each cursor", async () => {
      await crowd();
      const all: Member[] = [];
      const behind = new Map<string, number>();
      for await (const page of members.listMembers("a", underTest.now())) {
        all.push(...page.members);
        if (page.cursor !== undefined) behind.set(page.cursor, all.length);
      }
      assert.ok(behind.size >= 2);
      for (const [cursor, length] of behind) {
        const rest: Member[] = [];
        for await (const page of members.listMembers("a", underTest.now(), cursor))
          rest.push(...page.members);
        assert.deepEqual(new Set(rest), new Set(all.slice(length)));
        assert.equal(rest.length, all.length - length);
      }
    });

    it("list more than a few members of a channel with few", async () => {
      const channel = `["a"${FEW_MEMBERS}`;
      const all = await crowd(undefined, channel);
      const seen: Member[] = [];
      let cursor: string | undefined;
      do {
        const pages = members.listMembers(channel, underTest.now(), cursor)[Symbol.asyncIterator]();
        const page = (await pages.next()).value as MemberPage;
        await pages.return?.();
        seen.push(...page.members);
        cursor = page.cursor;
      } while (cursor !== undefined);
      assert.deepEqual(seen.map(({ connectionId }) => connectionId).sort(), all.toSorted());
      assert.equal(await members.count(channel, underTest.now()), all.length);
      const userIds = new Set(seen.flatMap(({ userId }) => userId ?? []));
      assert.deepEqual(await users(channel), [...userIds].sort());
      for (const connectionId of all) await members.remove(channel, connectionId);
      assert.deepEqual(await everyone(channel), []);
      assert.deepEqual(await users(channel), []);
    });

    it("list every member when all pages are full", async () => {
      const all = await crowd(2 * underTest.membersPerPage);
      assert.deepEqual(await connections("a"), all.toSorted());
    });

    it("continue after a cursor when the members before it have left", async () => {
      const all = await crowd();
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        // Continues as another process would, which has only the cursor.
        for await (const page of members.listMembers("a", underTest.now(), cursor)) {
          seen.push(...page.members.map(({ connectionId }) => connectionId));
          await Promise.all(page.members.map(({ connectionId }) => members.remove("a", connectionId)));
          cursor = page.cursor;
          break;
        }
      } while (cursor !== undefined);
      assert.deepEqual(seen.toSorted(), all.toSorted());
      assert.deepEqual(await connections("a"), []);
    });

    it("list every earlier member while others join and leave", async () => {
      const all = await crowd();
      const seen = new Set<string>();
      let pages = 0;
      for await (const page of members.listMembers("a", underTest.now())) {
        for (const { connectionId } of page.members) seen.add(connectionId);
        await add("a", `late-${pages++}`);
        await add("a", `brief-${pages}`);
        await members.remove("a", `brief-${pages}`);
      }
      assert.deepEqual(
        all.filter((id) => !seen.has(id)),
        [],
      );
      assert.ok(pages <= 10);
    });

    it("list every other member while an expired one returns", async () => {
      const before = await crowd(underTest.membersPerPage + 1);
      await add("a", "brief", undefined, { expiresAt: underTest.now() + MINUTE });
      const after = Array.from({ length: 3 }, (_, n) => `after-${n}`);
      for (const id of after) await add("a", id);
      underTest.advance(MINUTE);
      const seen: string[] = [];
      for await (const page of members.listMembers("a", underTest.now())) {
        seen.push(...page.members.map(({ connectionId }) => connectionId));
        await add("a", "brief");
      }
      assert.deepEqual(seen.filter((id) => id !== "brief").sort(), [...before, ...after].sort());
    });

    it("list a member immediately after it was added", async () => {
      for (let n = 0; n < 20; n++) {
        const adding = [add("a", `c${n}`, "ada"), add("b", `c${n}`)];
        await adding[0];
        assert.ok((await connections("a")).includes(`c${n}`));
        await adding[1];
      }
    });

    it("are empty in a channel without members", async () => {
      assert.deepEqual(await everyone("nobody"), []);
      assert.equal(await members.count("nobody", underTest.now()), 0);
      assert.deepEqual(await users("nobody"), []);
    });
  });

  it("lists the channels of a connection", async () => {
    for (const channel of ["a", "b", "c"]) await add(channel, "c1", "ada");
    await add("d", "c2", "ada");
    assert.deepEqual(await channelsOf("c1"), ["a", "b", "c"]);
    await members.remove("b", "c1");
    assert.deepEqual(await channelsOf("c1"), ["a", "c"]);
    for await (const channel of members.listChannels("c1")) await members.remove(channel, "c1");
    assert.deepEqual(await channelsOf("c1"), []);
    assert.deepEqual(await channelsOf("nobody"), []);
    assert.deepEqual(await channelsOf("__proto__"), []);
  });

  runner.describe("state", () => {
    it("is stored until it is cleared", async () => {
      await add("a", "c1", "ada");
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now() }]);
      const state: Json = { typing: true, ["__proto__"]: [null, "\u{1F600}"] };
      assert.equal(await members.setState("a", "ada", state), true);
      assert.equal(await members.setState("a", "ada", state), true);
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now(), state }]);
      assert.equal(await members.setState("a", "ada", undefined), true);
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now() }]);
      assert.equal(await members.setState("a", "ada", null), true);
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now(), state: null }]);
    });

    it("is stored only while the user is present", async () => {
      await add("a", "c1", "ada");
      await add("a", "c2");
      assert.equal(await members.setState("a", "bob", "here"), false);
      assert.equal(await members.setState("b", "ada", "here"), false);
      await members.remove("a", "c1");
      assert.equal(await members.setState("a", "ada", "here"), false);
      assert.deepEqual(await present("a"), []);
    });

    it("stays until the last tab leaves, which returns it", async () => {
      await add("a", "c1", "ada");
      await members.setState("a", "ada", "here");
      await add("a", "c2", "ada");
      await members.remove("a", "c1");
      assertMatches(await present("a"), [{ userId: "ada", state: "here" }]);
      assertMatches(await members.remove("a", "c2"), { userId: "ada", state: "here" });
      await add("a", "c3", "ada");
      assert.deepEqual(await present("a"), [{ userId: "ada", since: underTest.now() }]);
    });

    it("is copied, so that later changes by the caller have no effect", async () => {
      const list: Json[] = ["x"];
      await add("a", "c1", "ada");
      await members.setState("a", "ada", { list });
      list.push("y");
      assertMatches(await present("a"), [{ state: { list: ["x"] } }]);
    });
  });

  runner.describe("present users", () => {
    const page = async (after: string | undefined, size: number): Promise<string[]> => {
      const found: string[] = [];
      for await (const { userId } of members.listPresence("a", underTest.now(), after)) {
        found.push(userId);
        if (found.length === size) break;
      }
      return found;
    };
    const USERS = Array.from({ length: 20 }, (_, n) => `user-${n}`);

    it("are listed once each, page by page after a given user", async () => {
      for (const name of [...USERS, ...AWKWARD_NAMES]) await add("a", `c-${name}`, name);
      const found: string[] = [];
      for (let next = await page(undefined, 3); next.length > 0; next = await page(found.at(-1), 3)) {
        found.push(...next);
      }
      assert.deepEqual(found.sort(), [...USERS, ...AWKWARD_NAMES].sort());
    });

    it("keep their order while users join and leave between pages, including the last user of a page", async () => {
      for (const name of USERS) await add("a", `c-${name}`, name);
      const all = await page(undefined, USERS.length);
      const first = await page(undefined, 5);
      assert.deepEqual(first, all.slice(0, 5));
      for (const name of [first[0], first[4]]) await members.remove("a", `c-${name}`);
      await add("a", "late", "late");
      const rest = await page(first[4], USERS.length);
      assert.deepEqual(
        rest.filter((name) => name !== "late"),
        all.slice(5),
      );
      await add("a", "again", first[0]);
      assert.deepEqual(await page(first[4], USERS.length), rest);
    });

    it("are empty after the last user, and in an empty channel", async () => {
      await add("a", "c1", "ada");
      assert.deepEqual(await page("ada", 1), []);
      await members.remove("a", "c1");
      assert.deepEqual([await page(undefined, 1), await page("ada", 1)], [[], []]);
    });
  });

  it("separates channels and users with any names", async () => {
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      assert.equal(await add(name, `c${n}`, `u${n}`), true);
      assert.equal(await add("users", `c${n}`, name), true);
      assert.equal(await members.setState("users", name, n), true);
    }
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      assert.deepEqual(await connections(name), [`c${n}`]);
      assert.deepEqual(await users(name), [`u${n}`]);
      assert.deepEqual(await channelsOf(`c${n}`), [name, "users"].sort());
    }
    const states = new Map((await present("users")).map(({ userId, state }) => [userId, state]));
    assert.deepEqual(states, new Map(AWKWARD_NAMES.map((name, n) => [name, n])));
    assertMatches(await members.remove(AWKWARD_NAMES[0]!, "c0"), { userId: "u0" });
    for (const [n, name] of AWKWARD_NAMES.entries()) {
      assert.deepEqual(await connections(name), n === 0 ? [] : [`c${n}`]);
    }
  });

  it("accepts users with long names", async () => {
    // DynamoDB limits a sort key to 1,024 bytes.
    const names = [
      "a".repeat(1_019),
      "a".repeat(1_020),
      `${"a".repeat(1_020)}b`,
      "é".repeat(5_000),
      "\ud800".repeat(400),
    ];
    for (const [n, name] of names.entries()) {
      assert.equal(await add("long", `c${n}`, name), true);
      assert.equal(await add("long", `d${n}`, name), false);
      assert.equal(await members.setState("long", name, n), true);
    }
    const states = new Map((await present("long")).map(({ userId, state }) => [userId, state]));
    assert.deepEqual(states, new Map(names.map((name, n) => [name, n])));
    const behind: string[] = [];
    for await (const { userId } of members.listPresence("long", underTest.now())) behind.push(userId);
    const rest: string[] = [];
    for await (const { userId } of members.listPresence("long", underTest.now(), behind[1]))
      rest.push(userId);
    assert.deepEqual(rest, behind.slice(2));
    for (const [n, name] of names.entries()) {
      assert.equal(await members.remove("long", `c${n}`), undefined);
      assertMatches(await members.remove("long", `d${n}`), { userId: name });
    }
    assert.deepEqual(await users("long"), []);
  });
}
