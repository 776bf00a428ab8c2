import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { LIMITS, utf8Length } from "../../protocol/index.ts";
import type { ChannelStore } from "../../store/index.ts";

const ROOM = "room:lobby";
const KEY = '[null,"room:lobby"]';

async function room(options: Parameters<typeof simulateStreamer>[0] = {}) {
  const simulation = simulateStreamer(options);
  const enter = async (connectionId: string, user?: string, fields: object = {}) => {
    const client = await simulation.client(connectionId, user === undefined ? {} : { user });
    await client.ask("subscribe", { channels: [{ channel: ROOM, ...fields }] });
    return client;
  };
  const watcher = await enter("watcher");
  /** Returns the presence events that the watcher received since the last call. */
  let seen = 0;
  const presenceEvents = () => {
    const events = watcher.pushed("presence").slice(seen);
    seen += events.length;
    return events.map(({ event, user, state }) => [event, user, ...(state === undefined ? [] : [state])]);
  };
  return { ...simulation, enter, watcher, presenceEvents };
}

describe("presence", () => {
  it("has one event per user, with any number of tabs", async () => {
    const { enter, presenceEvents, watcher } = await room();
    const first = await enter("ada-1", "ada");
    expect(watcher.pushed("presence")).toEqual([
      { type: "presence", id: expect.any(String), channel: ROOM, event: "join", user: "ada", at: START },
    ]);
    expect(first.pushed("presence")).toHaveLength(1);
    const second = await enter("ada-2", "ada");
    await first.leave();
    expect(presenceEvents()).toEqual([["join", "ada"]]);
    await second.ask("unsubscribe", { channels: [ROOM] });
    expect(presenceEvents()).toEqual([["leave", "ada"]]);
  });

  it("excludes anonymous users and namespaces without presence", async () => {
    const { enter, presenceEvents, client } = await room();
    await enter("nobody");
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: "flash:a", state: 1 }] });
    expect(ada.pushed("presence")).toEqual([]);
    expect(presenceEvents()).toEqual([]);
    expect(await ada.ask("presence", { channel: "flash:a" })).toMatchObject({ error: { code: "NOT_FOUND" } });
    expect(await ada.ask("set_presence", { channel: "flash:a" })).toMatchObject({
      error: { code: "NOT_FOUND" },
    });
  });

  it("is available to clients and server-side calls", async () => {
    const { enter, watcher, streamer, advance } = await room();
    await enter("ada-1", "ada", { state: { mood: "fine" } });
    advance(5);
    await enter("bob-1", "bob");
    await enter("ada-2", "ada");
    const users = [
      { user: "ada", since: START, state: { mood: "fine" } },
      { user: "bob", since: START + 5 },
    ];
    expect((await watcher.ask("presence", { channel: ROOM })).data).toEqual({ users, more: false });
    expect(await collect(streamer.presence(ROOM))).toEqual(users);
    expect(await streamer.count(ROOM)).toBe(4);
    expect(await collect(streamer.presence(ROOM, { tenantId: "acme" }))).toEqual([]);
    await expect(collect(streamer.presence("flash:a"))).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("is paged by frames and continues after the last user", async () => {
    const { store, watcher, connections } = await room();
    const users = [];
    for (let n = 0; n < 300; n++) {
      const [connectionId, userId] = [`c${n}`, `u${n}`];
      const member = {
        connectionId,
        userId,
        endpoint: "https://x",
        joinedAt: START,
        expiresAt: START + 9_000,
      };
      await store.members.add(KEY, member);
      await store.members.setState(KEY, userId, "é".repeat(500));
      users.push(userId);
    }
    const { data } = await watcher.ask("presence", { channel: ROOM });
    expect(data.more).toBe(true);
    expect(data.users.length).toBeGreaterThan(100);
    expect(utf8Length(connections.sentTo("watcher").at(-1)!)).toBeLessThanOrEqual(LIMITS.messageBytes);
    const found = [...data.users];
    for (let more = true; more; ) {
      const next = (await watcher.ask("presence", { channel: ROOM, after: found.at(-1).user })).data;
      found.push(...next.users);
      more = next.more;
    }
    expect(found.map(({ user }) => user).sort()).toEqual(users.sort());
  });
});

describe("a presence state", () => {
  it("arrives with the join, updates the members and can be cleared", async () => {
    const { enter, presenceEvents, watcher } = await room();
    const ada = await enter("ada-1", "ada", { state: "here" });
    const answered = { type: "response", request_id: expect.any(String), success: true, data: {} };
    expect(await ada.ask("set_presence", { channel: ROOM, state: { typing: true } })).toEqual(answered);
    await enter("ada-2", "ada", { state: "again" });
    expect(await ada.ask("set_presence", { channel: ROOM })).toEqual(answered);
    expect(presenceEvents()).toEqual([
      ["join", "ada", "here"],
      ["update", "ada", { typing: true }],
      ["update", "ada", "again"],
      ["update", "ada"],
    ]);
    expect((await watcher.ask("presence", { channel: ROOM })).data.users).toEqual([
      { user: "ada", since: START },
    ]);
  });

  it("is refused for absent, anonymous and unauthorized users", async () => {
    const { client, watcher } = await room({
      channels: { room: { subscribe: ({ userId }) => userId !== "eve", presence: true } },
    });
    const refusal = async (who: typeof watcher) =>
      (await who.ask("set_presence", { channel: ROOM, state: 1 })).error;
    expect(await refusal(await client("ada-1", { user: "ada" }))).toMatchObject({
      code: "FORBIDDEN",
      message: "The user is not in the channel",
    });
    expect(await refusal(await client("eve-1", { user: "eve" }))).toMatchObject({ code: "FORBIDDEN" });
    expect(await refusal(watcher)).toMatchObject({ code: "UNAUTHORIZED" });
  });
});

describe("leaving", () => {
  it("removes an ended connection from all its channels", async () => {
    const { client, streamer, presenceEvents, store } = await room();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", {
      channels: [{ channel: ROOM }, { channel: "room:b" }, { channel: "flash:c" }],
    });
    presenceEvents();
    expect(await ada.leave()).toEqual({ statusCode: 200 });
    expect(presenceEvents()).toEqual([["leave", "ada"]]);
    expect(await collect(store.members.listChannels("ada-1"))).toEqual([]);
    expect(await streamer.count("room:b")).toBe(0);
  });

  it("continues in other channels when the store fails in one, and fails the event", async () => {
    const { client, streamer, store, lines } = await room();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: "room:bad" }, { channel: "room:good" }] });
    const remove = store.members.remove.bind(store.members);
    vi.spyOn(store.members, "remove").mockImplementation(async (key, ...rest) => {
      if (key.includes("room:bad")) throw new Error("throttled");
      return remove(key, ...rest);
    });
    expect(await ada.leave()).toMatchObject({ statusCode: 503 });
    expect(await streamer.count("room:good")).toBe(0);
    expect(lines.join()).toMatch(/A connection was not removed from a channel.*throttled/);
  });

  it("removes and announces a connection that a send finds gone", async () => {
    const { enter, streamer, presenceEvents, connections, advance } = await room();
    const ada = await enter("ada-1", "ada");
    const bob = await enter("bob-1", "bob");
    for (const client of [ada, bob]) await client.ask("subscribe", { channels: [{ channel: "room:b" }] });
    presenceEvents();
    // A younger connection may still be connecting.
    advance(6 * 60_000);
    connections.gone("ada-1", "bob-1");
    await streamer.publish("room:b", 1);
    expect(presenceEvents().sort()).toEqual([
      ["leave", "ada"],
      ["leave", "bob"],
    ]);
    expect(await streamer.count(ROOM)).toBe(1);
    expect(await streamer.count("room:b")).toBe(0);
  });

  it("removes a connection that a leave event finds gone", async () => {
    const { enter, presenceEvents, connections, advance } = await room();
    const ada = await enter("ada-1", "ada");
    await enter("bob-1", "bob");
    presenceEvents();
    advance(6 * 60_000);
    connections.gone("bob-1");
    await ada.leave();
    expect(presenceEvents()).toEqual([
      ["leave", "ada"],
      ["leave", "bob"],
    ]);
  });

  it("spares a connection that may still be connecting", async () => {
    const { enter, streamer, presenceEvents, connections } = await room();
    await enter("ada-1", "ada");
    presenceEvents();
    connections.gone("ada-1");
    await streamer.publish(ROOM, 1);
    expect(presenceEvents()).toEqual([]);
    expect(await streamer.count(ROOM)).toBe(2);
  });

  it("happens even when the event can't be sent", async () => {
    const { enter, streamer, store, lines } = await room({ channels: { room: { ...OPEN, presence: true } } });
    const ada = await enter("ada-1", "ada");
    vi.spyOn(store.members, "listMembers").mockImplementation(() => {
      throw new Error("throttled");
    });
    expect(await ada.leave()).toEqual({ statusCode: 200 });
    expect(await streamer.count(ROOM)).toBe(1);
    expect(lines.join()).toMatch(/A presence event was not sent.*throttled/);
  });
});

describe("a mass leave", () => {
  it("yields to the event loop, and removes all before it sends the events", async () => {
    const { enter, connections, store, now } = await room();
    const clients = [];
    for (let n = 0; n < 300; n++) clients.push(await enter(`c${n}`, `u${n}`));
    for (let n = 0; n < 300; n++) connections.gone(`c${n}`);
    let ms = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => ++ms);
    let turns = 0;
    let leaving = true;
    const turn = () => {
      turns++;
      if (leaving) setImmediate(turn);
    };
    setImmediate(turn);
    const broadcast = vi.spyOn(connections, "broadcast");
    await Promise.all(clients.map((client) => client.leave()));
    leaving = false;
    vi.restoreAllMocks();
    expect(turns).toBeGreaterThan(30);
    const sends = broadcast.mock.calls.map(([ids]) => [...(ids as string[])].length);
    // The watcher receives 300 events, and few of the leaving members receive any.
    expect(sends.reduce((sum, length) => sum + length, 0)).toBeLessThan(600);
    expect(await store.members.count(KEY, now())).toBe(1);
  });
});

describe("a subscription that fails", () => {
  /** Subscribes Ada while one store call fails. */
  async function failSubscribe(fail: (store: ChannelStore) => void, request: object = {}) {
    const simulation = await room();
    const ada = await simulation.client("ada-1", { user: "ada" });
    fail(simulation.store);
    const ask = async (client = ada) => {
      const { data } = await client.ask("subscribe", { channels: [{ channel: ROOM, ...request }] });
      return data.channels[0].error?.code;
    };
    expect(await ask()).toBe("STORE_FAILED");
    return { ...simulation, ask };
  }

  const once = (method: object, name: string) =>
    vi
      .spyOn(method as { [name: string]: () => Promise<never> }, name)
      .mockRejectedValueOnce(new Error("throttled"));

  it.each<[string, (store: ChannelStore) => void, object]>([
    ["setState", ({ members }) => once(members, "setState"), { state: "x" }],
    ["head", ({ history }) => once(history, "readHead"), {}],
    ["history", ({ history }) => once(history, "read"), { recent: 5 }],
  ])("in %s leaves no member, and the next attempt is a join", async (_what, fail, request) => {
    const { ask, presenceEvents, store, now } = await failSubscribe(fail, request);
    expect(await store.members.count(KEY, now())).toBe(1);
    expect(presenceEvents()).toEqual([]);
    expect(await ask()).toBeUndefined();
    expect(presenceEvents()).toEqual([["join", "ada", ...("state" in request ? ["x"] : [])]]);
  });

  it("after the store has added the member leaves no member, and the next attempt is a join", async () => {
    const { ask, presenceEvents, store, now } = await failSubscribe(({ members }) => {
      const add = members.add.bind(members);
      vi.spyOn(members, "add").mockImplementationOnce(async (...args) => {
        await add(...args);
        throw new Error("The answer was lost");
      });
    });
    expect(await store.members.count(KEY, now())).toBe(1);
    expect(await ask()).toBeUndefined();
    expect(presenceEvents()).toEqual([["join", "ada"]]);
  });

  it("and can't be reverted is a join to the other members", async () => {
    const { ask, presenceEvents } = await failSubscribe(
      ({ members }) => {
        once(members, "setState");
        once(members, "remove");
      },
      { state: "x" },
    );
    expect(presenceEvents()).toEqual([["join", "ada"]]);
    expect(await ask()).toBeUndefined();
    expect(presenceEvents()).toEqual([["update", "ada", "x"]]);
  });

  it("is a join to the other members when another tab of the user joined meanwhile", async () => {
    const simulation = await room();
    const [first, second] = [
      await simulation.client("ada-1", { user: "ada" }),
      await simulation.client("ada-2", { user: "ada" }),
    ];
    const head = vi.spyOn(simulation.store.history, "readHead").mockImplementationOnce(async () => {
      await second.ask("subscribe", { channels: [{ channel: ROOM }] });
      throw new Error("throttled");
    });
    const { data } = await first.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(data.channels[0].error.code).toBe("STORE_FAILED");
    expect(head).toHaveBeenCalledTimes(2);
    expect(simulation.presenceEvents()).toEqual([["join", "ada"]]);
    await second.leave();
    expect(simulation.presenceEvents()).toEqual([["leave", "ada"]]);
  });

  it("keeps a connection that was a member before", async () => {
    const { enter, presenceEvents, store, now } = await room();
    const ada = await enter("ada-1", "ada");
    once(store.members, "setState");
    const { data } = await ada.ask("subscribe", { channels: [{ channel: ROOM, state: "x" }] });
    expect(data.channels[0].error.code).toBe("STORE_FAILED");
    expect(await store.members.count(KEY, now())).toBe(2);
    expect(presenceEvents()).toEqual([["join", "ada"]]);
  });
});

describe("the times of presence events", () => {
  it("order the leave of a user who disconnects before the response", async () => {
    const { client, connections, watcher, advance } = await room();
    const ada = await client("ada-1", { user: "ada" });
    const post = connections.post.bind(connections);
    vi.spyOn(connections, "post").mockImplementationOnce(async (...args) => {
      const outcome = await post(...args);
      advance(5);
      await ada.leave();
      advance(5);
      return outcome;
    });
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    const events = watcher.pushed("presence");
    expect(events.map(({ event, at }) => [event, at])).toEqual([
      ["leave", START + 5],
      ["join", START],
    ]);
  });

  it("increase between events of a user within a millisecond", async () => {
    const { enter, watcher } = await room();
    for (let n = 0; n < 3; n++) {
      const ada = await enter(`ada-${n}`, "ada", { state: n });
      await ada.ask("set_presence", { channel: ROOM, state: "other" });
      await ada.leave();
    }
    const events = watcher.pushed("presence");
    expect(events.map(({ event }) => event)).toEqual(
      Array.from({ length: 3 }, () => ["join", "update", "leave"]).flat(),
    );
    const times = events.map(({ at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    for (const [n, { event, at }] of events.entries()) {
      if (event !== "update" && n > 0) expect(at).toBeGreaterThan(times[n - 1]);
    }
  });

  it("order a leave after a join that was dated by a clock ahead", async () => {
    const { enter, store, presenceEvents, watcher, client } = await room();
    const member = { connectionId: "ada-1", userId: "ada", endpoint: "https://x", expiresAt: START + 9_000 };
    await store.members.add(KEY, { ...member, joinedAt: START + 60 });
    const ada = await client("ada-1", { user: "ada" });
    await ada.leave();
    await enter("ada-2", "ada");
    expect(presenceEvents()).toEqual([
      ["leave", "ada"],
      ["join", "ada"],
    ]);
    expect(watcher.pushed("presence").map(({ at }) => at)).toEqual([START + 61, START + 62]);
  });

  it("do not exceed the clock once it has advanced", async () => {
    const { enter, watcher, advance } = await room();
    const ada = await enter("ada-1", "ada");
    await ada.leave();
    advance(10);
    await enter("ada-2", "ada");
    expect(watcher.pushed("presence").map(({ at }) => at)).toEqual([START, START + 1, START + 10]);
  });

  it("order a join before the leave when the client misses the response", async () => {
    const { client, connections, presenceEvents } = await room();
    const ada = await client("ada-1", { user: "ada" });
    connections.gone("ada-1");
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(presenceEvents()).toEqual([
      ["join", "ada"],
      ["leave", "ada"],
    ]);
  });
});
