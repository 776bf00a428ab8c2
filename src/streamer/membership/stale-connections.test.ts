import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { createStreamer, type StreamerOptions } from "../index.ts";

const ROOM = "room:lobby";
const MINUTE = 60_000;

/** Simulates a room with a watcher, whose clients may vanish without a `$disconnect`. */
async function room(options: Partial<StreamerOptions> = {}) {
  const schedule = memorySchedule();
  const simulation = simulateStreamer({ schedule, ...options });
  const { connections, streamer, now } = simulation;
  const active = new Map<string, number>();
  const get = connections.get.bind(connections);
  const checked = vi.spyOn(connections, "get").mockImplementation(async (id) => {
    const info = await get(id);
    return info && { ...info, lastActiveAt: active.get(id) ?? 0 };
  });
  const enter = async (connectionId: string, user?: string, channel = ROOM) => {
    const client = await simulation.client(connectionId, user === undefined ? {} : { user });
    active.set(connectionId, now());
    await client.ask("subscribe", { channels: [{ channel }] });
    return client;
  };
  const watcher = await enter("watcher");
  return {
    ...simulation,
    schedule,
    enter,
    /** The IDs of connections that a tick has checked. */
    checked: () => checked.mock.calls.map(([id]) => id),
    /** Sets the last activity of connections. */
    touch: (...ids: string[]) => {
      for (const id of ids) active.set(id, now());
    },
    /** Advances the clock minute by minute with a tick each, as a Lambda schedule does. */
    minutes: async (count: number) => {
      for (let at = 0; at < count; at++) {
        simulation.advance(MINUTE);
        const report = await streamer.app.tick();
        expect(report.failed).toBe(0);
      }
    },
    left: () =>
      watcher
        .pushed("presence")
        .filter(({ event }) => event === "leave")
        .map(({ user }) => user),
    items: () => [...(schedule.listAll?.() ?? [])].map(({ id, dueAt }) => [id, dueAt - now()]),
  };
}

describe("a vanished connection", () => {
  it("leaves every channel within the idle limit and a tick, without a $disconnect", async () => {
    const { enter, connections, minutes, left, streamer, checked } = await room();
    const ada = await enter("ada-1", "ada");
    await ada.ask("subscribe", { channels: [{ channel: "room:b" }, { channel: "flash:c" }] });
    connections.gone("ada-1");
    await minutes(9);
    expect([left(), checked()]).toEqual([[], []]);
    await minutes(1);
    expect([left(), checked()]).toEqual([["ada"], ["ada-1"]]);
    expect([await streamer.count("room:b"), await streamer.count("flash:c")]).toEqual([0, 0]);
    await minutes(30);
    expect(checked()).toEqual(["ada-1"]);
  });

  it("is found as soon after its last activity as without any", async () => {
    const { enter, connections, minutes, left, touch, checked } = await room();
    await enter("ada-1", "ada");
    await minutes(8);
    touch("ada-1");
    await minutes(2);
    expect(checked()).toEqual(["ada-1"]);
    await minutes(7);
    connections.gone("ada-1");
    expect(left()).toEqual([]);
    await minutes(1);
    expect(left()).toEqual(["ada"]);
  });

  it("is announced once by simultaneous ticks", async () => {
    const { enter, connections, advance, left, streamer } = await room();
    await enter("ada-1", "ada");
    connections.gone("ada-1");
    advance(10 * MINUTE);
    const reports = await Promise.all([streamer.app.tick(), streamer.app.tick(), streamer.app.tick()]);
    expect(reports.map(({ failed }) => failed)).toEqual([0, 0, 0]);
    expect(left()).toEqual(["ada"]);
  });

  it("does not remove a user who has another tab", async () => {
    const { enter, connections, minutes, left, touch } = await room();
    await enter("ada-1", "ada");
    await enter("ada-2", "ada");
    connections.gone("ada-1");
    await minutes(9);
    touch("ada-2");
    await minutes(2);
    expect(left()).toEqual([]);
  });

  it("is retried when a channel could not be left", async () => {
    const { enter, connections, advance, left, streamer, store } = await room();
    await enter("ada-1", "ada");
    connections.gone("ada-1");
    advance(10 * MINUTE);
    vi.spyOn(store.members, "remove").mockRejectedValueOnce(new Error("throttled"));
    expect(await streamer.app.tick()).toMatchObject({ done: 0, failed: 1 });
    advance(1_000);
    expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
    expect(left()).toEqual(["ada"]);
  });
});

describe("a vanished viewer", () => {
  const live = { channels: { room: OPEN, show: { ...OPEN, live: true } } };

  it.each([undefined, "ada"])("is not counted any more, as %s", async (user) => {
    const { enter, connections, minutes, streamer, checked } = await room(live);
    const owner = await enter("owner", "owner", "show:a");
    await owner.ask("stream_start", { channel: "show:a" });
    await enter("viewer", user, "show:a");
    // The messages about their joins have been sent, so that nothing more is.
    await minutes(1);
    connections.gone("viewer");
    await minutes(8);
    expect(await streamer.count("show:a")).toBe(2);
    expect(checked()).toEqual([]);
    await minutes(1);
    expect(checked()).toEqual(expect.arrayContaining(["viewer", "owner"]));
    expect(await streamer.count("show:a")).toBe(1);
    expect(owner.pushed("viewers").at(-1)).toMatchObject({ count: 1 });
  });

  it("costs one write when they join, and none in a channel without live streams", async () => {
    const { enter, schedule } = await room(live);
    const put = vi.spyOn(schedule, "put");
    await enter("nobody", undefined, "room:b");
    expect(put).not.toHaveBeenCalled();
    const viewer = await enter("viewer", undefined, "show:a");
    await viewer.ask("subscribe", { channels: [{ channel: "show:b" }] });
    expect(put).toHaveBeenCalledTimes(1);
  });
});

describe("a connection whose removal failed at its end", () => {
  const plain = { channels: { room: OPEN } };

  it("is removed by the next tick, also without presence", async () => {
    const { enter, connections, store, streamer, advance } = await room(plain);
    const ada = await enter("ada-1", "ada", "room:silent");
    vi.spyOn(store.members, "remove").mockRejectedValueOnce(new Error("throttled"));
    await ada.leave();
    connections.gone("ada-1");
    expect(await streamer.count("room:silent")).toBe(1);
    advance(1);
    expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
    expect(await streamer.count("room:silent")).toBe(0);
  });

  it("is removed likewise when it ended before it became a member", async () => {
    const { client, connections, store, streamer } = await room(plain);
    const ada = await client("ada-1", { user: "ada" });
    connections.gone("ada-1");
    vi.spyOn(store.members, "remove").mockRejectedValueOnce(new Error("throttled"));
    await ada.ask("subscribe", { channels: [{ channel: "room:silent" }] });
    expect(await streamer.count("room:silent")).toBe(1);
    await streamer.app.tick();
    expect(await streamer.count("room:silent")).toBe(0);
  });
});

describe("watching connections", () => {
  it("starts with the first channel with presence, and writes nothing for later ones", async () => {
    const { client, schedule, enter, advance, items } = await room({
      channels: { room: { ...OPEN, presence: true }, flash: { ...OPEN, delivery: "at-most-once" } },
    });
    const put = vi.spyOn(schedule, "put");
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: "flash:a" }] });
    expect(put).not.toHaveBeenCalled();
    await ada.ask("subscribe", { channels: [{ channel: ROOM }, { channel: "room:b" }] });
    await ada.ask("subscribe", { channels: [{ channel: "room:c" }, { channel: ROOM }] });
    await ada.ask("publish", { channel: ROOM, data: 1 });
    await ada.ask("heartbeat", {});
    await enter("nobody");
    expect(put).toHaveBeenCalledTimes(1);
    advance(1);
    expect(items()).toEqual([["ada-1", 10 * MINUTE - 1]]);
  });

  it("stops when the connection has left, without a request to it", async () => {
    const { enter, minutes, checked, items } = await room();
    await (await enter("ada-1", "ada")).leave();
    const bob = await enter("bob-1", "bob");
    await bob.ask("unsubscribe", { channels: [ROOM] });
    await minutes(10);
    expect([checked(), items()]).toEqual([[], []]);
    await bob.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(items()).toEqual([["bob-1", 10 * MINUTE]]);
  });

  it("stops after one more check when a user is only in other channels", async () => {
    const { enter, minutes, checked, items, streamer } = await room({
      channels: { room: { ...OPEN, presence: true }, flash: { ...OPEN, delivery: "at-most-once" } },
    });
    const ada = await enter("ada-1", "ada");
    await ada.ask("subscribe", { channels: [{ channel: "flash:a" }] });
    await ada.ask("unsubscribe", { channels: [ROOM] });
    await minutes(30);
    expect([checked(), items(), await streamer.count("flash:a")]).toEqual([["ada-1"], [], 1]);
  });

  it("fails the subscribe when the watch can't be scheduled", async () => {
    const { client, schedule, streamer } = await room();
    vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("throttled"));
    const ada = await client("ada-1", { user: "ada" });
    const answer = await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(answer.error).toMatchObject({ code: "STORE_FAILED", retry: true });
    expect(await collect(streamer.presence(ROOM))).toEqual([]);
  });
});

describe("with heartbeatMs", () => {
  it("a connection without heartbeats is closed after two intervals, however busy the channel is", async () => {
    const { enter, advance, left, streamer, touch, connections } = await room({ heartbeatMs: 30_000 });
    const [ada] = [await enter("ada-1", "ada"), await enter("bob-1", "bob")];
    for (let second = 0; second < 59; second++) {
      advance(1_000);
      if (second === 40) await ada.ask("heartbeat", {});
      touch("ada-1", "bob-1");
      await streamer.app.tick();
    }
    expect(left()).toEqual([]);
    advance(1_000);
    await streamer.app.tick();
    expect([left(), connections.disconnected]).toEqual([["bob"], ["bob-1"]]);
  });

  it.each([
    ["a minute and a second", 61_000],
    ["an hour", 3_600_000],
    ["a year", 365 * 86_400_000],
  ])("an open connection survives a clock jump of %s", async (_, jump) => {
    const { enter, advance, streamer, connections } = await room({ heartbeatMs: 30_000 });
    const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => enter(`c${n}`, `u${n}`)));
    advance(jump);
    for (let second = 0; second < 100; second++) {
      await streamer.app.tick();
      for (const [n, client] of clients.entries()) if (second % 30 === n) await client.ask("heartbeat", {});
      advance(1_000);
    }
    expect(connections.disconnected).toEqual([]);
  });

  it("a connection survives when another process receives its heartbeat during a tick", async () => {
    const { enter, advance, streamer, connections, schedule, now } = await room({ heartbeatMs: 30_000 });
    await enter("ada-1", "ada");
    advance(30_000);
    await streamer.app.tick();
    advance(30_000);
    const get = vi.mocked(connections.get).getMockImplementation()!;
    vi.mocked(connections.get).mockImplementation(async (id) => {
      const [item] = [...(schedule.listAll?.() ?? [])].filter((one) => one.id === id);
      await schedule.put({ ...item!, dueAt: now() + 30_000 });
      return get(id);
    });
    expect(await streamer.app.tick()).toMatchObject({ failed: 0 });
    expect(connections.disconnected).toEqual([]);
    advance(30_000);
    await streamer.app.tick();
    expect(connections.disconnected).toEqual([]);
  });

  it("a connection is checked within the idle limit though its last activity is in the future", async () => {
    const { enter, connections, minutes, left, touch, advance, now } = await room();
    await enter("ada-1", "ada");
    const before = now();
    advance(365 * 86_400_000);
    touch("ada-1");
    advance(before - now());
    await minutes(10);
    connections.gone("ada-1");
    await minutes(10);
    expect(left()).toEqual(["ada"]);
  });

  it("the watch writes once for the start and once per heartbeat", async () => {
    const { enter, schedule } = await room({ heartbeatMs: 30_000 });
    const put = vi.spyOn(schedule, "put");
    const ada = await enter("ada-1", "ada");
    for (let n = 0; n < 3; n++) await ada.ask("heartbeat", {});
    await ada.ask("publish", { channel: ROOM, data: 1 });
    expect(put).toHaveBeenCalledTimes(4);
  });

  it("a schedule is required", () => {
    const { store } = simulateStreamer();
    const options = { channels: { room: {} }, store, heartbeatMs: 1_000 };
    expect(() => createStreamer(options)).toThrow("`heartbeatMs` requires a `schedule`");
    expect(() => createStreamer({ ...options, schedule: memorySchedule(), heartbeatMs: 999 })).toThrow(
      "`heartbeatMs` must be an integer from 1000",
    );
  });
});
