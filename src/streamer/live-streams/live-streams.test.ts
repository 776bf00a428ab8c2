import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { LIMITS, utf8Length } from "../../protocol/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { createStreamer, type Rule, type StreamerOptions } from "../index.ts";

const SHOW = "show:ada";
const LOG = '[null,"show:ada","streams"]';

const isNamed = ({ userId }: { userId?: string }) => userId !== undefined;

/** Simulates a channel in which any user may stream, and a viewer. */
async function show(options: Partial<StreamerOptions> = {}) {
  const schedule = memorySchedule();
  const simulation = simulateStreamer({
    schedule,
    channels: {
      show: { subscribe: () => true, publish: isNamed, live: true },
      room: OPEN,
      short: { ...OPEN, live: { graceMs: 0 } },
    },
    ...options,
  });
  const { client, advance, streamer } = simulation;
  const watch = async (connectionId: string, user?: string, channel = SHOW) => {
    const viewer = await client(connectionId, user === undefined ? {} : { user });
    const { data } = await viewer.ask("subscribe", { channels: [{ channel }] });
    return { ...viewer, live: data.channels[0].live };
  };
  const viewer = await watch("viewer");
  /** Returns a client's stream messages, without viewer counts. */
  const streamMessages = (who = viewer) =>
    who
      .received()
      .filter(({ type }) => type.startsWith("stream_"))
      .map(({ type, reason, live, user }) => [type, ...(reason ? [user, reason] : [live.user, live.data])]);
  return {
    ...simulation,
    schedule,
    watch,
    viewer,
    streamMessages,
    /** Advances the clock second by second, with a tick each. */
    seconds: async (count: number) => {
      for (let at = 0; at < count; at++) {
        advance(1_000);
        expect((await streamer.app.tick()).failed).toBe(0);
      }
    },
  };
}

describe("a live stream", () => {
  it("is announced when it starts and ends, and returned to later subscribers", async () => {
    const { client, viewer, watch, streamMessages, advance, streamer } = await show();
    const ada = await client("ada-1", { user: "ada" });
    const started = await ada.ask("stream_start", { channel: SHOW, data: { title: "Bread" } });
    const live = { user: "ada", since: START, viewers: 1, data: { title: "Bread" } };
    expect(started.data).toEqual({ live });
    expect(viewer.pushed("stream_started")).toEqual([
      { type: "stream_started", id: expect.any(String), channel: SHOW, at: START, live },
    ]);
    advance(5_000);
    expect((await watch("late")).live).toEqual({ ...live, viewers: 2 });
    expect(await streamer.stream(SHOW)).toEqual({ ...live, viewers: 2 });
    expect((await ada.ask("stream_end", { channel: SHOW })).data).toEqual({});
    const ended = { type: "stream_ended", channel: SHOW, at: START + 5_000, user: "ada", reason: "ended" };
    expect(viewer.pushed("stream_ended")).toEqual([{ ...ended, id: expect.any(String) }]);
    expect((await watch("later")).live).toBeUndefined();
    expect((await viewer.ask("stream", { channel: SHOW })).data).toEqual({});
    expect(streamMessages()).toHaveLength(2);
  });

  it("keeps its start time when its owner starts it again with other data", async () => {
    const { client, advance, streamMessages, viewer } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW, data: 1 });
    advance(5_000);
    await ada.ask("stream_start", { channel: SHOW, data: 2 });
    expect(streamMessages()).toEqual([
      ["stream_started", "ada", 1],
      ["stream_started", "ada", 2],
    ]);
    expect((await viewer.ask("stream", { channel: SHOW })).data.live).toMatchObject({
      since: START,
      data: 2,
    });
  });

  it("can be changed only by its owner and the server", async () => {
    const { client, streamer, streamMessages } = await show();
    const [ada, bob] = [await client("ada-1", { user: "ada" }), await client("bob-1", { user: "bob" })];
    await ada.ask("stream_start", { channel: SHOW });
    expect((await bob.ask("stream_start", { channel: SHOW })).error.code).toBe("FORBIDDEN");
    expect((await bob.ask("stream_end", { channel: SHOW })).error.code).toBe("FORBIDDEN");
    expect(await streamer.endStream(SHOW)).toBe(true);
    expect(await streamer.endStream(SHOW)).toBe(false);
    expect((await bob.ask("stream_start", { channel: SHOW })).data.live.user).toBe("bob");
    expect(streamMessages().map(([type, user]) => [type, user])).toEqual([
      ["stream_started", "ada"],
      ["stream_ended", "ada"],
      ["stream_started", "bob"],
    ]);
  });

  it("dates each start and end after the one before, also from a process whose clock is behind", async () => {
    const { client, viewer, streamer, store, schedule, connections } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    const channels = { show: { ...OPEN, live: true } };
    const behind = createStreamer({ channels, store, schedule, connections, now: () => START - 5_000 });
    await behind.endStream(SHOW);
    await ada.ask("stream_start", { channel: SHOW });
    await streamer.endStream(SHOW);
    const dates = viewer
      .received()
      .flatMap(({ type, at }) => (type.startsWith("stream_") ? [at - START] : []));
    expect(dates).toEqual([0, 1, 2, 3]);
  });

  it("has one owner when users start at once, and ends once", async () => {
    const { client, streamMessages, store } = await show();
    const names = ["ada", "bob", "cyd", "dan"];
    const all = await Promise.all(names.map((user) => client(`${user}-1`, { user })));
    // All of them decide before one of them writes.
    const history = store.history.read.bind(store.history);
    let waiting: (() => void)[] = [];
    const gate = vi.spyOn(store.history, "read").mockImplementation(async (...args) => {
      const page = await history(...args);
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length < names.length) return;
        for (const go of waiting) go();
        waiting = [];
        if (streamMessages().length > 0) gate.mockRestore();
      });
      return page;
    });
    const answers = all.map((who) => who.ask("stream_start", { channel: SHOW }));
    await vi.waitFor(() => expect(streamMessages()).toHaveLength(1));
    gate.mockRestore();
    for (const go of waiting) go();
    const results = await Promise.all(answers);
    expect(results.filter(({ error }) => error?.code === "FORBIDDEN")).toHaveLength(3);
    const [winner] = results.filter(({ data }) => data !== undefined);
    expect(streamMessages()).toEqual([["stream_started", winner.data.live.user, undefined]]);
    const owner = all[names.indexOf(winner.data.live.user)]!;
    await Promise.all([1, 2, 3].map(() => owner.ask("stream_end", { channel: SHOW })));
    expect(streamMessages()).toHaveLength(2);
  });

  it.each([101, 1_000])("has one owner and one log entry when %i users start at once", async (count) => {
    const { client, streamMessages, store, streamer } = await show();
    const users = Array.from({ length: count }, (_, n) => `u${n}`);
    const all = await Promise.all(users.map((user) => client(user, { user })));
    const answers = await Promise.all(all.map((who) => who.ask("stream_start", { channel: SHOW })));
    const owners = answers.filter(({ type }) => type === "response").map(({ data }) => data.live.user);
    expect(owners).toEqual([(await streamer.stream(SHOW))?.user]);
    expect(answers.filter(({ error }) => error?.code === "FORBIDDEN")).toHaveLength(count - 1);
    expect(await store.history.readHead(LOG)).toMatchObject({ offset: 1 });
    expect(streamMessages()).toHaveLength(1);
  });

  it("is read from a log in which an earlier version stored rejected starts", async () => {
    const { client, store, streamer, streamMessages } = await show();
    const bounds = { size: 100, ageMs: 1e12 };
    const start = (user: string, after: number) =>
      store.history.append(
        LOG,
        { id: user, at: START, data: { after, live: { user, since: START, viewers: 1 } } },
        bounds,
      );
    for (const [n, user] of ["ada", "bob", "cyd"].entries()) {
      await start(user, 0);
      await store.history.markDelivered(LOG, n + 1);
    }
    expect(await streamer.stream(SHOW)).toMatchObject({ user: "ada" });
    const [ada, bob] = [await client("ada-1", { user: "ada" }), await client("bob-1", { user: "bob" })];
    expect((await bob.ask("stream_start", { channel: SHOW })).error.code).toBe("FORBIDDEN");
    await ada.ask("stream_end", { channel: SHOW });
    expect((await bob.ask("stream_start", { channel: SHOW })).data.live.user).toBe("bob");
    expect(streamMessages().map(([type, user]) => [type, user])).toEqual([
      ["stream_ended", "ada"],
      ["stream_started", "bob"],
    ]);
  });

  it("is read from a second page when its entry is newer than the first page's messages", async () => {
    const { client, store } = await show();
    const [ada, bob] = [await client("ada-1", { user: "ada" }), await client("bob-1", { user: "bob" })];
    await ada.ask("stream_start", { channel: SHOW });
    const history = store.history.read.bind(store.history);
    vi.spyOn(store.history, "read").mockImplementationOnce(async (...args) => ({
      ...(await history(...args)),
      messages: [],
    }));
    expect((await bob.ask("stream_start", { channel: SHOW })).error.code).toBe("FORBIDDEN");
  });

  it("requires a user, the right to publish and a live namespace", async () => {
    const { client, viewer } = await show();
    const start = async (who: typeof viewer, channel: string) =>
      (await who.ask("stream_start", { channel })).error.code;
    const ada = await client("ada-1", { user: "ada" });
    expect(await start(viewer, SHOW)).toBe("FORBIDDEN");
    expect(await start(viewer, "short:a")).toBe("UNAUTHORIZED");
    for (const action of ["stream_start", "stream_end", "stream"] as const) {
      expect((await ada.ask(action, { channel: "room:a" })).error.code).toBe("NOT_FOUND");
    }
  });

  it("can be ended by an owner who lost the right to publish, and is hidden from others without it", async () => {
    const live = new Set(["ada"]);
    const publish: Rule = ({ userId }) => live.has(userId ?? "");
    const { client, streamMessages } = await show({ channels: { show: { ...OPEN, publish, live: true } } });
    const [ada, bob] = [await client("ada-1", { user: "ada" }), await client("bob-1", { user: "bob" })];
    const end = async (who: typeof ada) => (await who.ask("stream_end", { channel: SHOW })).error?.code;
    expect(await end(bob)).toBe("FORBIDDEN");
    await ada.ask("stream_start", { channel: SHOW });
    expect(await end(bob)).toBe("FORBIDDEN");
    live.clear();
    expect(await end(ada)).toBeUndefined();
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "ended"]);
  });

  it("belongs to its tenant", async () => {
    const { client, streamer } = await show();
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    await ada.ask("stream_start", { channel: SHOW });
    const other = await client("ada-2", { user: "ada", tenant: "other" });
    const { data } = await other.ask("subscribe", { channels: [{ channel: SHOW }] });
    expect([data.channels[0].live, other.pushed("stream_started")]).toEqual([undefined, []]);
    expect(await streamer.stream(SHOW, { tenantId: "acme" })).toMatchObject({ user: "ada" });
    expect(await streamer.endStream(SHOW, { tenantId: "other" })).toBe(false);
  });

  it("is announced when the process that stored it dies", async () => {
    const { client, store, streamer, streamMessages } = await show();
    const ada = await client("ada-1", { user: "ada" });
    vi.spyOn(store.members, "listMembers").mockImplementationOnce(() => {
      throw new Error("killed");
    });
    await ada.ask("stream_start", { channel: SHOW });
    expect(streamMessages()).toEqual([]);
    expect(await streamer.resume({ storedBefore: START + 1 })).toBe(1);
    expect(streamMessages()).toEqual([["stream_started", "ada", undefined]]);
  });

  it("keeps responses within one frame", async () => {
    const { client, connections } = await show();
    const channels = Array.from({ length: 100 }, (_, n) => ({ channel: `show:${n}${"x".repeat(190)}` }));
    const ada = await client("ada-1", { user: "ada" });
    for (const { channel } of channels) {
      await ada.ask("stream_start", { channel, data: "é".repeat(LIMITS.streamBytes / 2 - 1) });
    }
    const late = await client("late");
    const { data } = await late.ask("subscribe", { channels });
    const lives = data.channels.map(({ live }: { live: { user: string; data?: string } }) => live);
    expect(new Set(lives.map(({ user }: { user: string }) => user))).toEqual(new Set(["ada"]));
    expect(lives[0].data).toBeDefined();
    expect(lives.at(-1).data).toBeUndefined();
    const sizes = connections.sentTo("late").map((frame) => utf8Length(frame));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.messageBytes);
  });
});

describe("an owner", () => {
  it("who does not return within the grace period loses the stream", async () => {
    const { client, seconds, streamMessages } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    await seconds(29);
    expect(streamMessages()).toHaveLength(1);
    await seconds(1);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
    await seconds(60);
    expect(streamMessages()).toHaveLength(2);
  });

  it("may return with any connection that subscribes", async () => {
    const { client, seconds, streamMessages, watch } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    await seconds(29);
    const again = await watch("ada-2", "ada");
    await seconds(120);
    expect(streamMessages()).toHaveLength(1);
    await again.ask("unsubscribe", { channels: [SHOW] });
    await seconds(29);
    expect(streamMessages()).toHaveLength(1);
    await seconds(1);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("keeps the stream while one of their tabs is connected", async () => {
    const { client, seconds, streamMessages, watch } = await show();
    const tab = await watch("ada-2", "ada");
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    const third = await watch("ada-3", "ada");
    await ada.leave();
    await tab.leave();
    await seconds(120);
    expect(streamMessages()).toHaveLength(1);
    await third.leave();
    await seconds(30);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("who vanishes is found, and the stream ends", async () => {
    const { client, seconds, streamMessages, connections } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    connections.gone("ada-1");
    await seconds(600);
    expect(streamMessages()).toHaveLength(1);
    await seconds(30);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("is checked when a client asks for the stream, if no check was scheduled", async () => {
    const { client, seconds, streamMessages, schedule, watch, store } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    // After a restart, members and the schedule are empty; the history is not.
    for (const item of [...(schedule.listAll?.() ?? [])]) await schedule.delete(item);
    await store.members.remove('[null,"show:ada","owners"]', "ada-1");
    expect((await watch("late")).live).toMatchObject({ user: "ada" });
    await seconds(30);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("is checked by the next request after the schedule failed", async () => {
    const { client, seconds, streamMessages, schedule, watch, store } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    for (const item of [...(schedule.listAll?.() ?? [])]) await schedule.delete(item);
    await store.members.remove('[null,"show:ada","owners"]', "ada-1");
    const late = await client("late");
    vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("The store has failed"));
    expect((await late.ask("stream", { channel: SHOW })).error.code).toBe("STORE_FAILED");
    expect((await watch("later")).live).toMatchObject({ user: "ada" });
    await seconds(30);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it.each(["leaves the channel", "is gone"])(
    "who %s loses the stream, also when the store failed meanwhile",
    async (how) => {
      const { connections, seconds, streamMessages, schedule, watch, viewer } = await show();
      const ada = await watch("ada-1", "ada");
      await ada.ask("stream_start", { channel: SHOW });
      await viewer.ask("stream", { channel: SHOW });
      const put = schedule.put.bind(schedule);
      let failures = 1;
      vi.spyOn(schedule, "put").mockImplementation(async (item) => {
        if (item.kind === "streamer:stream.left" && failures-- > 0) throw new Error("throttled");
        return put(item);
      });
      if (how === "is gone") {
        connections.gone("ada-1");
        await ada.leave();
      } else {
        const leave = () => ada.ask("unsubscribe", { channels: [SHOW] });
        expect((await leave()).error.code).toBe("STORE_FAILED");
        expect((await leave()).data).toEqual({});
      }
      await seconds(31);
      expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
    },
  );

  it("without a grace period loses the stream when a tick ran while they were leaving", async () => {
    const { client, streamer, store, watch, streamMessages } = await show();
    const channel = "short:a";
    const watcher = await watch("short-viewer", "bob", channel);
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel });
    const remove = store.members.remove.bind(store.members);
    vi.spyOn(store.members, "remove").mockImplementationOnce(async (...args) => {
      // The first item is due, and Ada is still connected.
      await streamer.app.tick();
      return remove(...args);
    });
    await ada.leave();
    expect(streamMessages(watcher)).toHaveLength(1);
    // An earlier request for the stream would have checked its owner.
    await streamer.app.tick();
    expect(streamMessages(watcher).at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("has the whole grace period, whenever a process sees the stream", async () => {
    const { client, seconds, streamMessages, watch } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await watch("late");
    await seconds(20);
    await ada.leave();
    await seconds(29);
    expect(streamMessages()).toHaveLength(1);
    await seconds(1);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("is not granted more time by requests for other streams", async () => {
    const { client, seconds, streamMessages, viewer } = await show();
    const [ada, bob] = [await client("ada-1", { user: "ada" }), await client("bob-1", { user: "bob" })];
    await ada.ask("stream_start", { channel: SHOW });
    const others = Array.from({ length: 1_001 }, (_, n) => `show:${n}`);
    for (const channel of others) await bob.ask("stream_start", { channel });
    const askAll = async () => {
      for (const channel of [SHOW, ...others]) await viewer.ask("stream", { channel });
    };
    await askAll();
    await ada.leave();
    await seconds(25);
    await askAll();
    await seconds(5);
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("who returns and leaves again before a tick acts keeps the stream", async () => {
    const { client, advance, streamMessages, streamer, schedule, now } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    advance(30_000);
    const read = await collect(schedule.listDue(now()));
    advance(1_000);
    const again = await client("ada-2", { user: "ada" });
    await again.ask("subscribe", { channels: [{ channel: SHOW }] });
    advance(1_000);
    await again.leave();
    advance(1_000);
    vi.spyOn(schedule, "listDue").mockImplementationOnce(async function* () {
      yield* read;
    });
    expect(await streamer.app.tick()).toMatchObject({ failed: 0 });
    expect(streamMessages()).toHaveLength(1);
    advance(29_000);
    await streamer.app.tick();
    expect(streamMessages().at(-1)).toEqual(["stream_ended", "ada", "owner_left"]);
  });

  it("who returns and leaves again during a tick's check keeps the stream", async () => {
    const { client, advance, streamMessages, streamer, store } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    advance(30_000);
    const present = store.members.listPresence.bind(store.members);
    vi.spyOn(store.members, "listPresence").mockImplementationOnce(async function* (...args) {
      yield* present(...args);
      const again = await client("ada-2", { user: "ada" });
      await again.ask("subscribe", { channels: [{ channel: SHOW }] });
      advance(1);
      await again.leave();
    });
    expect(await streamer.app.tick()).toMatchObject({ failed: 0 });
    expect(streamMessages()).toHaveLength(1);
  });

  it("who returns no more does not end the next owner's stream", async () => {
    const { client, advance, streamMessages, streamer, store } = await show();
    const ada = await client("ada-1", { user: "ada" });
    const bob = await client("bob-1", { user: "bob" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    advance(30_000);
    const present = store.members.listPresence.bind(store.members);
    vi.spyOn(store.members, "listPresence").mockImplementationOnce(async function* (...args) {
      yield* present(...args);
      await streamer.endStream(SHOW);
      await bob.ask("stream_start", { channel: SHOW });
      await bob.leave();
    });
    expect(await streamer.app.tick()).toMatchObject({ failed: 0 });
    expect(streamMessages().map(([type, user]) => [type, user])).toEqual([
      ["stream_started", "ada"],
      ["stream_ended", "ada"],
      ["stream_started", "bob"],
    ]);
  });

  it("is checked, and viewers write nothing to the schedule", async () => {
    const { client, watch, schedule, seconds } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    const bob = await watch("bob-1", "bob");
    await seconds(60);
    const put = vi.spyOn(schedule, "put");
    await bob.ask("unsubscribe", { channels: [SHOW] });
    await (await watch("bob-2", "bob")).leave();
    expect(put.mock.calls.map(([{ kind }]) => kind)).not.toContain("streamer:stream.left");
  });

  it("is reported once as gone by simultaneous ticks", async () => {
    const { client, advance, streamMessages, streamer } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await ada.leave();
    advance(30_000);
    await Promise.all([streamer.app.tick(), streamer.app.tick(), streamer.app.tick()]);
    expect(streamMessages()).toHaveLength(2);
  });

  it("does not use up a subscription", async () => {
    const { client } = await show({ maxSubscriptions: 1 });
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    const { data } = await ada.ask("subscribe", { channels: [{ channel: SHOW }] });
    expect(data.channels[0].live.user).toBe("ada");
  });
});

describe("viewer counts", () => {
  it("are sent at most once a second, and the last one by a tick", async () => {
    const { client, watch, viewer, seconds } = await show();
    const counts = () => viewer.pushed("viewers").map(({ count }) => count);
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await seconds(1);
    const late = [];
    for (let n = 0; n < 5; n++) late.push(await watch(`late-${n}`));
    expect(counts()).toEqual([2]);
    expect(late.at(-1)?.live.viewers).toBe(2);
    await seconds(1);
    expect(counts()).toEqual([2, 6]);
    await seconds(5);
    for (const one of late) await one.leave();
    await seconds(1);
    expect(counts()).toEqual([2, 6, 5, 1]);
  });

  it("are sent after the clock was set back by an hour", async () => {
    const { client, watch, viewer, seconds, advance } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await seconds(1);
    await watch("one");
    advance(-3_600_000);
    await watch("two");
    await seconds(2);
    expect(viewer.pushed("viewers").at(-1)).toMatchObject({ count: 3 });
    const { live } = await watch("three");
    expect(live.viewers).toBe(4);
  });

  it("are sent even when unchanged, because another process may have sent a different one", async () => {
    const { client, watch, viewer, seconds } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await seconds(1);
    const late = await watch("late");
    await late.leave();
    await watch("later");
    await seconds(1);
    expect(viewer.pushed("viewers").map(({ count }) => count)).toEqual([2, 2]);
  });

  it("are not counted without a stream", async () => {
    const { store, watch, seconds, viewer } = await show();
    const count = vi.spyOn(store.members, "count");
    await seconds(1);
    await watch("late");
    await seconds(5);
    expect([count.mock.calls, viewer.pushed("viewers")]).toEqual([[], []]);
  });

  it("find viewers that are gone", async () => {
    const { client, watch, viewer, seconds, connections, streamer } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    await watch("lost");
    await seconds(400);
    connections.gone("lost");
    await watch("late");
    await seconds(2);
    expect(await streamer.count(SHOW)).toBe(2);
    expect(viewer.pushed("viewers").at(-1).count).toBe(2);
  });

  it("are skipped when the store fails, and the rest continues", async () => {
    const { client, watch, store, lines, advance } = await show();
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: SHOW });
    advance(2_000);
    vi.spyOn(store.members, "count").mockRejectedValue(new Error("throttled"));
    const late = await watch("late", undefined, "room:a");
    expect(await late.leave()).toEqual({ statusCode: 200 });
    const failing = await client("failing");
    expect((await failing.ask("subscribe", { channels: [{ channel: SHOW }] })).data.channels).toMatchObject([
      { error: { code: "STORE_FAILED" } },
    ]);
    expect(await failing.leave()).toEqual({ statusCode: 200 });
    expect(lines.join()).toMatch(/A viewer count was not sent.*throttled/);
  });
});

describe("the option live", () => {
  const { store } = simulateStreamer();

  it.each([
    [{ live: "yes" }, "`channels.show.live` must be true, false or an object"],
    [{ live: { graceMs: -1 } }, "`channels.show.live.graceMs` must be an integer from 0"],
    [{ live: { grace: 1 } }, "Unknown option `channels.show.live.grace`"],
    [{ live: true }, "`channels.show.live` requires a `schedule`"],
  ])("rejects %o", (namespace, message) => {
    const channels = { show: namespace } as unknown as StreamerOptions["channels"];
    expect(() => createStreamer({ channels, store })).toThrow(message);
  });

  it("accepts a grace period of 0", async () => {
    const { client, watch, seconds } = await show();
    const viewer = await watch("viewer-2", undefined, "short:a");
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("stream_start", { channel: "short:a" });
    await ada.leave();
    await seconds(1);
    expect(viewer.pushed("stream_ended")).toMatchObject([{ reason: "owner_left" }]);
  });
});

it("stream events do not appear in the channel's history", async () => {
  const { client, store, viewer } = await show();
  const ada = await client("ada-1", { user: "ada" });
  await ada.ask("stream_start", { channel: SHOW });
  await ada.ask("publish", { channel: SHOW, data: 1 });
  expect((await viewer.ask("history", { channel: SHOW })).data.messages).toHaveLength(1);
  expect((await store.history.readHead(LOG)).offset).toBe(1);
});
