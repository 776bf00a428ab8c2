import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { createStreamer, type StreamerOptions } from "../index.ts";

const ROOM = "room:lobby";
const MINUTE = 60_000;

/** A room with a watcher, whose clients may vanish without a word. */
async function room(options: Partial<StreamerOptions> = {}) {
  const schedule = memorySchedule();
  const simulation = simulateStreamer({ schedule, ...options });
  const { connections, streamer, now } = simulation;
  const active = new Map<string, number>();
  const get = connections.get.bind(connections);
  const asked = vi.spyOn(connections, "get").mockImplementation(async (id) => {
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
    /** The connections that were asked after. */
    asked: () => asked.mock.calls.map(([id]) => id),
    /** They were active at this time. */
    touch: (...ids: string[]) => {
      for (const id of ids) active.set(id, now());
    },
    /** A minute at a time, as Lambda's schedules ring. */
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

describe("a connection that has vanished", () => {
  it("leaves within the idle limit and a tick, in every channel, though $disconnect never comes", async () => {
    const { enter, connections, minutes, left, streamer, asked } = await room();
    const ada = await enter("ada-1", "ada");
    await ada.ask("subscribe", { channels: [{ channel: "room:b" }, { channel: "flash:c" }] });
    connections.gone("ada-1");
    await minutes(9);
    expect([left(), asked()]).toEqual([[], []]);
    await minutes(1);
    expect([left(), asked()]).toEqual([["ada"], ["ada-1"]]);
    expect([await streamer.count("room:b"), await streamer.count("flash:c")]).toEqual([0, 0]);
    await minutes(30);
    expect(asked()).toEqual(["ada-1"]);
  });

  it("is found as soon after its last sign of life as if it had given none", async () => {
    const { enter, connections, minutes, left, touch, asked } = await room();
    await enter("ada-1", "ada");
    await minutes(8);
    touch("ada-1");
    await minutes(2);
    expect(asked()).toEqual(["ada-1"]);
    await minutes(7);
    connections.gone("ada-1");
    expect(left()).toEqual([]);
    await minutes(1);
    expect(left()).toEqual(["ada"]);
  });

  it("is told of once, by however many ticks at once", async () => {
    const { enter, connections, advance, left, streamer } = await room();
    await enter("ada-1", "ada");
    connections.gone("ada-1");
    advance(10 * MINUTE);
    const reports = await Promise.all([streamer.app.tick(), streamer.app.tick(), streamer.app.tick()]);
    expect(reports.map(({ failed }) => failed)).toEqual([0, 0, 0]);
    expect(left()).toEqual(["ada"]);
  });

  it("keeps a user there who has another tab", async () => {
    const { enter, connections, minutes, left, touch } = await room();
    await enter("ada-1", "ada");
    await enter("ada-2", "ada");
    connections.gone("ada-1");
    await minutes(9);
    touch("ada-2");
    await minutes(2);
    expect(left()).toEqual([]);
  });

  it("is tried again when a channel could not be left", async () => {
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

describe("a viewer who has vanished", () => {
  const live = { channels: { room: OPEN, show: { ...OPEN, live: true } } };

  it.each([undefined, "ada"])("is no viewer any more, as %s", async (user) => {
    const { enter, connections, minutes, streamer, asked } = await room(live);
    const owner = await enter("owner", "owner", "show:a");
    await owner.ask("stream_start", { channel: "show:a" });
    await enter("viewer", user, "show:a");
    // What is told of their coming is told, so that nothing more is sent.
    await minutes(1);
    connections.gone("viewer");
    await minutes(8);
    expect(await streamer.count("show:a")).toBe(2);
    expect(asked()).toEqual([]);
    await minutes(1);
    expect(asked()).toEqual(expect.arrayContaining(["viewer", "owner"]));
    expect(await streamer.count("show:a")).toBe(1);
    expect(owner.pushed("viewers").at(-1)).toMatchObject({ count: 1 });
  });

  it("costs a write when they come, and none in a channel without streams", async () => {
    const { enter, schedule } = await room(live);
    const put = vi.spyOn(schedule, "put");
    await enter("nobody", undefined, "room:b");
    expect(put).not.toHaveBeenCalled();
    const viewer = await enter("viewer", undefined, "show:a");
    await viewer.ask("subscribe", { channels: [{ channel: "show:b" }] });
    expect(put).toHaveBeenCalledTimes(1);
  });
});

describe("a connection whose channels could not be left at its end", () => {
  const plain = { channels: { room: OPEN } };

  it("leaves them with the next tick, though nobody is seen there", async () => {
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

  it("leaves them so too if it had ended before it became a member", async () => {
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

describe("looking after connections", () => {
  it("begins with the first channel where a user is seen, and writes nothing for what comes later", async () => {
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

  it("ends when the connection has left, without asking for it", async () => {
    const { enter, minutes, asked, items } = await room();
    await (await enter("ada-1", "ada")).leave();
    const bob = await enter("bob-1", "bob");
    await bob.ask("unsubscribe", { channels: [ROOM] });
    await minutes(10);
    expect([asked(), items()]).toEqual([[], []]);
    await bob.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(items()).toEqual([["bob-1", 10 * MINUTE]]);
  });

  it("ends with one look more where a user is in other channels still", async () => {
    const { enter, minutes, asked, items, streamer } = await room({
      channels: { room: { ...OPEN, presence: true }, flash: { ...OPEN, delivery: "at-most-once" } },
    });
    const ada = await enter("ada-1", "ada");
    await ada.ask("subscribe", { channels: [{ channel: "flash:a" }] });
    await ada.ask("unsubscribe", { channels: [ROOM] });
    await minutes(30);
    expect([asked(), items(), await streamer.count("flash:a")]).toEqual([["ada-1"], [], 1]);
  });

  it("refuses to let somebody in who could not be looked after", async () => {
    const { client, schedule, streamer } = await room();
    vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("throttled"));
    const ada = await client("ada-1", { user: "ada" });
    const answer = await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(answer.error).toMatchObject({ code: "STORE_FAILED", retry: true });
    expect(await collect(streamer.presence(ROOM))).toEqual([]);
  });
});

describe("with heartbeatMs", () => {
  it("closes who has sent none for twice as long, however busy the channel is", async () => {
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
  ])("closes nobody who is there when the clock jumps ahead by %s", async (_, jump) => {
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

  it("closes nobody whose heartbeat another process hears while a tick looks", async () => {
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

  it("looks at a connection again within the idle limit, though its last activity is dated in the future", async () => {
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

  it("takes a write for each heartbeat, and one to begin with", async () => {
    const { enter, schedule } = await room({ heartbeatMs: 30_000 });
    const put = vi.spyOn(schedule, "put");
    const ada = await enter("ada-1", "ada");
    for (let n = 0; n < 3; n++) await ada.ask("heartbeat", {});
    await ada.ask("publish", { channel: ROOM, data: 1 });
    expect(put).toHaveBeenCalledTimes(4);
  });

  it("takes a schedule", () => {
    const { store } = simulateStreamer();
    const options = { channels: { room: {} }, store, heartbeatMs: 1_000 };
    expect(() => createStreamer(options)).toThrow("`heartbeatMs` requires a `schedule`");
    expect(() => createStreamer({ ...options, schedule: memorySchedule(), heartbeatMs: 999 })).toThrow(
      "`heartbeatMs` must be an integer from 1000",
    );
  });
});
