import { describe, expect, it } from "vitest";
import { channelStoreProperties } from "../../../test/stores/channel-store-properties.ts";
import { channelStoreCases } from "../contracts/cases.ts";
import type { ChannelStore, Member, NewMessage } from "../index.ts";
import { MemoryHistory } from "./channel-history.ts";
import { MEMBERS_PER_PAGE } from "./channel-members.ts";
import { memoryChannelStore } from "./index.ts";

const MINUTE = 60_000;

function make() {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: memoryChannelStore({ now }), now, advance, membersPerPage: MEMBERS_PER_PAGE };
}

channelStoreCases({ describe, it }, "memory channels", make);
channelStoreProperties("memory channels", make, 200);

describe("memory channels", () => {
  const message = (id: string, at: number): NewMessage => ({ id, data: { list: [id] }, at });
  const member = (connectionId: string, overrides: Partial<Member> = {}): Member => ({
    connectionId,
    userId: "ada",
    endpoint: "https://api.example.com/test",
    joinedAt: 0,
    expiresAt: Number.MAX_SAFE_INTEGER,
    ...overrides,
  });
  /** A retention that nothing exceeds. */
  const kept = async ({ history }: ChannelStore, channel: string) => {
    const retention = { size: 1_000, ageMs: Number.MAX_SAFE_INTEGER };
    const { messages } = await history.read(channel, { after: 0, limit: 1_000, retention, now: 0 });
    return messages.map(({ offset }) => offset);
  };

  it("evicts messages past the size or the age on append", async () => {
    const { store } = make();
    for (let n = 1; n <= 5; n++)
      await store.history.append("a", message(`m${n}`, n), { size: 3, ageMs: MINUTE });
    expect(await kept(store, "a")).toEqual([3, 4, 5]);
    await store.history.append("a", message("m6", MINUTE + 4), { size: 3, ageMs: MINUTE });
    expect(await kept(store, "a")).toEqual([5, 6]);
  });

  it("evicts messages of a busy channel among many others", async () => {
    const { store } = make();
    const retention = { size: 3, ageMs: MINUTE };
    for (let n = 0; n < 100; n++) await store.history.append(`other${n}`, message("m", 0), retention);
    for (let n = 1; n <= 9; n++) await store.history.append("busy", message(`m${n}`, 0), retention);
    expect(await kept(store, "busy")).toEqual([7, 8, 9]);
  });

  it("applies the retention of the last append", async () => {
    const { store } = make();
    for (let n = 1; n <= 5; n++)
      await store.history.append("a", message(`m${n}`, n), { size: 5, ageMs: MINUTE });
    await store.history.append("a", message("m6", 6), { size: 2, ageMs: MINUTE });
    expect(await kept(store, "a")).toEqual([5, 6]);
    for (let n = 7; n <= 9; n++)
      await store.history.append("a", message(`m${n}`, n), { size: 4, ageMs: MINUTE });
    expect(await kept(store, "a")).toEqual([6, 7, 8, 9]);
  });

  it("drops channels that are idle past their history's age, and starts another epoch", async () => {
    let time = Date.UTC(2026, 0, 1);
    const history = new MemoryHistory(() => time);
    const retention = { size: 10, ageMs: 10 * MINUTE };
    const deliver = async (channel: string) => {
      const { epoch, message: stored } = await history.append(channel, message("m", time), retention);
      await history.markDelivered(channel, stored.offset);
      return epoch;
    };
    const names = Array.from({ length: 1_000 }, (_, n) => `room${n}`);
    const epochs = await Promise.all(names.map(deliver));
    time += 10 * MINUTE - 1;
    for (let n = 0; n < 1_000; n++) await deliver("other");
    expect(history.size).toBe(1_001);
    time += 1;
    for (let n = 0; n < 1_000; n++) await deliver("other");
    expect(history.size).toBe(1);
    const heads = await Promise.all(names.map((name) => history.readHead(name)));
    for (const [n, { epoch, offset }] of heads.entries()) {
      expect(epoch).not.toBe(epochs[n]);
      expect(offset).toBe(0);
    }
    expect(await Promise.all(names.map(deliver))).toEqual(heads.map(({ epoch }) => epoch));
  });

  it("evicts expired keys on append", async () => {
    const { history } = make().store;
    const retention = { size: 1, ageMs: MINUTE };
    await history.append("a", { ...message("m1", 0), key: "k" }, retention);
    await history.append("b", message("m2", 5 * MINUTE), retention);
    // By the date of this publication, the key would still be valid.
    expect(await history.append("a", { ...message("m3", 0), key: "k" }, retention)).toMatchObject({
      duplicate: false,
    });
  });

  it("evicts expired keys after one that was used again", async () => {
    const { history } = make().store;
    const retention = { size: 1, ageMs: MINUTE };
    await history.append("a", { ...message("m1", 0), key: "again" }, retention);
    await history.append("a", { ...message("m2", 1), key: "k" }, retention);
    await history.append("a", { ...message("m3", 5 * MINUTE), key: "again" }, retention);
    await history.append("b", message("m4", 5 * MINUTE + 1), retention);
    expect(await history.append("a", { ...message("m5", 1), key: "k" }, retention)).toMatchObject({
      duplicate: false,
    });
  });

  it("returns the data of a duplicate while its message is kept", async () => {
    const { history } = make().store;
    const append = (id: string, key?: string) =>
      history.append(
        "a",
        { ...message(id, 0), ...(key === undefined ? {} : { key }) },
        { size: 2, ageMs: MINUTE },
      );
    await append("m1");
    const { message: stored } = await append("m2", "k");
    await append("m3");
    expect((await append("again", "k")).message).toEqual(stored);
    await append("m4");
    expect((await append("again", "k")).message).toEqual({ ...stored, data: null });
  });

  it("checks two channels per append, so that the cost of an append is bounded", async () => {
    let time = Date.UTC(2026, 0, 1);
    const history = new MemoryHistory(() => time);
    const append = async (channel: string) => {
      const { message: stored } = await history.append(channel, message("m", time), { size: 1, ageMs: 1 });
      await history.markDelivered(channel, stored.offset);
    };
    for (let n = 0; n < 6; n++) await append(`idle${n}`);
    time += 5 * MINUTE;
    await append("other");
    await append("other");
    expect(history.size).toBe(5);
  });

  it("drops an idle channel after its last member has left", async () => {
    const { store, advance, now } = make();
    const deliver = async (channel: string) => {
      const { message: stored } = await store.history.append(channel, message("m", now()), {
        size: 1,
        ageMs: 1,
      });
      await store.history.markDelivered(channel, stored.offset);
    };
    await deliver("a");
    await store.members.add("a", member("c1"));
    await store.members.remove("a", "c1");
    advance(5 * MINUTE);
    for (let n = 0; n < 4; n++) await deliver("other");
    expect(await store.history.readHead("a")).toMatchObject({ offset: 0 });
  });

  it("keeps an idle channel until a message that is dated ahead has expired", async () => {
    const { store, advance, now } = make();
    const deliver = async (channel: string, at: number) => {
      const { message: stored } = await store.history.append(channel, message("m", at), {
        size: 10,
        ageMs: 10 * MINUTE,
      });
      await store.history.markDelivered(channel, stored.offset);
    };
    await deliver("a", now() + MINUTE);
    advance(11 * MINUTE - 1);
    await deliver("other", now());
    expect(await kept(store, "a")).toEqual([1]);
    advance(1);
    for (let n = 0; n < 2; n++) await deliver("other", now());
    expect(await store.history.readHead("a")).toMatchObject({ offset: 0 });
  });

  it("evicts messages of a silent channel on appends to others", async () => {
    const { store } = make();
    const retention = { size: 10, ageMs: MINUTE };
    for (let n = 0; n < 20; n++) await store.history.append(`silent${n}`, message("m", 0), retention);
    for (let n = 0; n < 21; n++) await store.history.append("a", message("m", MINUTE), retention);
    for (let n = 0; n < 20; n++) expect(await kept(store, `silent${n}`)).toEqual([]);
  });

  it("returns immutable messages and members", async () => {
    const { history, members } = make().store;
    const { message: stored } = await history.append("a", message("m", 0), { size: 1, ageMs: MINUTE });
    expect(() => (stored.data as { list: string[] }).list.push("x")).toThrow(TypeError);
    expect(() => Object.assign(stored, { offset: 2 })).toThrow(TypeError);
    await members.add("a", member("c1"));
    for await (const page of members.listMembers("a", 0)) {
      expect(() => Object.assign(page.members[0]!, { connectionId: "c2" })).toThrow(TypeError);
    }
  });

  it("reports once that a user left whose other tab has expired", async () => {
    const { store, advance, now } = make();
    await store.members.add("a", member("old", { expiresAt: now() + MINUTE }));
    await store.members.add("a", member("new"));
    advance(MINUTE);
    expect(await store.members.remove("a", "new")).toMatchObject({ userId: "ada" });
    expect(await store.members.remove("a", "old")).toBeUndefined();
  });

  it("reports that a user left whose only tab had expired", async () => {
    const { store, advance, now } = make();
    await store.members.add("a", member("old", { expiresAt: now() + MINUTE }));
    advance(MINUTE);
    expect(await store.members.remove("a", "old")).toMatchObject({ userId: "ada" });
  });

  it("accepts a connection again after it expired", async () => {
    const { store, advance, now } = make();
    await store.members.add("a", member("c1", { expiresAt: now() + MINUTE }));
    advance(MINUTE);
    expect(await store.members.add("a", member("c1"))).toBe(true);
    expect(await store.members.count("a", now())).toBe(1);
  });

  it("ends the pages while members keep joining", async () => {
    const { members } = make().store;
    let last = 0;
    const addPage = async () => {
      for (let n = 0; n < MEMBERS_PER_PAGE; n++) await members.add("a", member(`c${last++}`));
    };
    await addPage();
    await addPage();
    let pages = 0;
    for await (const page of members.listMembers("a", 0)) {
      expect(page.members).toHaveLength(MEMBERS_PER_PAGE);
      if (++pages > 5) break;
      await addPage();
    }
    expect(pages).toBe(2);
  });

  it("starts at the first page with a cursor of an earlier process", async () => {
    const { members } = make().store;
    for (let n = 0; n <= MEMBERS_PER_PAGE; n++) await members.add("a", member(`c${n}`));
    const pages = members.listMembers("a", 0)[Symbol.asyncIterator]();
    const { cursor } = (await pages.next()).value!;
    const next = make().store.members;
    await next.add("a", member("c1"));
    for await (const page of next.listMembers("a", 0, cursor)) expect(page.members).toEqual([member("c1")]);
    expect((await next.listMembers("a", 0, cursor)[Symbol.asyncIterator]().next()).done).toBe(false);
  });

  it("uses the system's time by default", async () => {
    const { members } = memoryChannelStore();
    await members.add("a", member("past", { expiresAt: Date.now() - 1 }));
    expect(await members.setState("a", "ada", "here")).toBe(false);
    await members.add("a", member("here", { expiresAt: Date.now() + MINUTE }));
    expect(await members.setState("a", "ada", "here")).toBe(true);
  });
});
