import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { simulateStreamer } from "../../../test/streamer/simulation.ts";
import { lambdaContext } from "../../lift/testing/index.ts";
import type { ChannelStore, PendingFanOut, TableStreamHistory } from "../../store/index.ts";
import { memoryChannelStore } from "../../store/memory/index.ts";

const ROOM = "room:lobby";
const HALL = "room:hall";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A memory store with the table stream of a database: an image is the stored message. */
function streamedStore(now: () => number) {
  const store = memoryChannelStore({ now });
  const { history } = store;
  const getPendingFanOut = vi.fn(async (channel: string, offset: number) => {
    for await (const left of history.listPendingFanOuts(Number.POSITIVE_INFINITY)) {
      if (left.channel === channel && left.message.offset === offset) return left;
    }
    return undefined;
  });
  const parseTableStreamImage = (image: { left?: PendingFanOut; bad?: true }) => {
    if (image.bad) throw new Error("BAD_ROW");
    return image.left;
  };
  const streamed = Object.assign(Object.create(history), bound(history), {
    getPendingFanOut,
    parseTableStreamImage,
  });
  return { store: { ...store, history: streamed as TableStreamHistory }, getPendingFanOut };
}

function bound(history: ChannelStore["history"]) {
  const names = ["append", "read", "readHead", "markDelivered", "checkpoint", "listPendingFanOuts"] as const;
  return Object.fromEntries(names.map((name) => [name, history[name].bind(history)]));
}

/** Simulates two rooms whose publications are stored and not sent. */
async function simulate() {
  let time = Date.UTC(2026, 0, 1);
  const { store, getPendingFanOut } = streamedStore(() => time);
  const made = simulateStreamer({ store, now: () => time });
  const [ada, bob] = [await made.client("ada", { user: "ada" }), await made.client("bob", { user: "bob" })];
  for (const client of [ada, bob]) {
    await client.ask("subscribe", { channels: [{ channel: ROOM }, { channel: HALL }] });
  }
  const records: { dynamodb: { NewImage: object; SequenceNumber: string } }[] = [];
  const published: object[] = [];
  const leave = async (channel: string, data: number) => {
    const pages = vi.spyOn(store.members, "listMembers").mockImplementation(() => {
      throw new Error("killed");
    });
    const { id, position } = await made.streamer.publish(channel, data);
    published.push({ id, position });
    pages.mockRestore();
    const key = JSON.stringify([null, channel]);
    const left = await getPendingFanOut(key, position?.offset ?? 0);
    getPendingFanOut.mockClear();
    records.push({ dynamodb: { NewImage: { left }, SequenceNumber: `s${records.length + 1}` } });
    return [key, position?.offset] as const;
  };
  return {
    ...made,
    store,
    getPendingFanOut,
    records,
    published,
    leave,
    ada,
    bob,
    advance: (ms: number) => {
      time += ms;
    },
    got: () => [ada, bob].map((client) => client.pushed("message").map(({ data }) => data)),
  };
}

const reported = (...numbers: string[]) => ({
  batchItemFailures: numbers.map((itemIdentifier) => ({ itemIdentifier })),
});

describe("the fan-out handler", () => {
  it("sends messages that their publisher stored and did not send", async () => {
    const { streamer, records, leave, advance, got, store } = await simulate();
    await leave(ROOM, 1);
    advance(3_000);
    expect(got()).toEqual([[], []]);
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([[1], [1]]);
    expect(
      await store.history.listPendingFanOuts(Number.POSITIVE_INFINITY)[Symbol.asyncIterator]().next(),
    ).toEqual({
      done: true,
      value: undefined,
    });
  });

  it("sends each message with its original ID and position in every attempt", async () => {
    const { streamer, records, leave, advance, ada, published, store } = await simulate();
    for (const data of [1, 2]) await leave(ROOM, data);
    advance(3_000);
    const handler = streamer.fanOutHandler();
    const finish = vi.spyOn(store.history, "markDelivered").mockRejectedValue(new Error("throttled"));
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported("s1", "s2"));
    finish.mockRestore();
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported());
    const sent = ada.pushed("message").map(({ id, position }) => ({ id, position }));
    expect(sent).toEqual([...published, ...published]);
  });

  it("costs one read per delivered message and none for other records", async () => {
    const { streamer, records, leave, getPendingFanOut, store, advance, got } = await simulate();
    const [key, offset] = await leave(ROOM, 1);
    await store.history.markDelivered(key, offset ?? 0);
    advance(3_000);
    const pages = vi.spyOn(store.members, "listMembers");
    const others = [{ dynamodb: { NewImage: {}, SequenceNumber: "s2" } }, { dynamodb: {} }, {}];
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: [...records, ...others] }, lambdaContext())).toEqual(reported());
    expect(getPendingFanOut).toHaveBeenCalledExactlyOnceWith(key, offset, expect.anything());
    expect(pages).not.toHaveBeenCalled();
    expect(got()).toEqual([[], []]);
  });

  it("reads a message only after its grace period", async () => {
    const { streamer, records, leave, getPendingFanOut, advance } = await simulate();
    await leave(ROOM, 1);
    advance(2_000);
    const handled = streamer.fanOutHandler({ graceMs: 5_000 })({ Records: records }, lambdaContext());
    await vi.advanceTimersByTimeAsync(2_999);
    expect(getPendingFanOut).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(getPendingFanOut).toHaveBeenCalledOnce();
    expect(await handled).toEqual(reported());
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits no longer than the grace period for a publisher whose clock is ahead", async () => {
    const { streamer, records, leave, getPendingFanOut, advance } = await simulate();
    await leave(ROOM, 1);
    advance(-60_000);
    const handled = streamer.fanOutHandler()({ Records: records }, lambdaContext());
    await vi.advanceTimersByTimeAsync(3_000);
    expect(getPendingFanOut).toHaveBeenCalledOnce();
    await handled;
  });

  it("reports at once messages that it has no time to wait for", async () => {
    const { streamer, records, leave, getPendingFanOut } = await simulate();
    await leave(ROOM, 1);
    const context = lambdaContext({ getRemainingTimeInMillis: () => 3_999 });
    expect(await streamer.fanOutHandler()({ Records: records }, context)).toEqual(reported("s1"));
    expect(getPendingFanOut).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("starts nothing in its last second, and reports it", async () => {
    const { streamer, records, leave, advance, got, store } = await simulate();
    for (const data of [1, 2]) await leave(ROOM, data);
    advance(3_000);
    let left = 29_000;
    const finish = vi.spyOn(store.history, "markDelivered").mockImplementation(async () => {
      left = 999;
    });
    const context = lambdaContext({ getRemainingTimeInMillis: () => left });
    expect(await streamer.fanOutHandler()({ Records: records }, context)).toEqual(reported("s2"));
    expect(finish).toHaveBeenCalledOnce();
    expect(got()).toEqual([[1], [1]]);
  });

  it.each(["read", "sent", "marked as delivered"])(
    "starts a channel's next message only after the one before it is %s",
    async (step) => {
      const { streamer, records, leave, advance, got, getPendingFanOut, connections, store } =
        await simulate();
      for (const data of [1, 2, 3]) await leave(ROOM, data);
      await leave(HALL, 4);
      advance(3_000);
      const { promise: held, resolve: release } = Promise.withResolvers<void>();
      const [read, broadcast, finish] = [
        getPendingFanOut.getMockImplementation()!,
        connections.broadcast.bind(connections),
        store.history.markDelivered.bind(store.history),
      ];
      const begun: string[] = [];
      getPendingFanOut.mockImplementation(async (channel, offset) => {
        begun.push(`${channel} ${offset}`);
        const isFirst = begun.length === 1;
        const left = await read(channel, offset);
        if (isFirst && step === "read") await held;
        return left;
      });
      vi.spyOn(connections, "broadcast").mockImplementation(async (...args) => {
        if (step === "sent" && JSON.parse(String(args[1])).data === 1) await held;
        return broadcast(...args);
      });
      vi.spyOn(store.history, "markDelivered").mockImplementation(async (channel, offset, ...rest) => {
        if (step === "marked as delivered" && channel.includes(ROOM) && offset === 1) await held;
        return finish(channel, offset, ...rest);
      });
      const handled = streamer.fanOutHandler()({ Records: records }, lambdaContext());
      // The other channel's message does not wait.
      await vi.waitFor(() => expect(got().map((data) => data.includes(4))).toEqual([true, true]));
      await vi.advanceTimersByTimeAsync(0);
      expect(begun.filter((name) => name.includes(ROOM))).toHaveLength(1);
      release();
      expect(await handled).toEqual(reported());
      for (const data of got()) expect(data.filter((it) => it !== 4)).toEqual([1, 2, 3]);
    },
  );

  it("reports messages that failed, and sends the others", async () => {
    const { streamer, records, leave, advance, got, getPendingFanOut, lines } = await simulate();
    for (const [channel, data] of [
      [ROOM, 1],
      [HALL, 2],
    ] as const)
      await leave(channel, data);
    advance(3_000);
    getPendingFanOut.mockRejectedValueOnce(new Error("throttled"));
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported("s1"));
    expect(got()).toEqual([[2], [2]]);
    expect(lines.join()).toMatch(/A message's fan-out state could not be read/);
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  it("skips unreadable records", async () => {
    const { streamer, records, leave, advance, got, lines } = await simulate();
    records.push({ dynamodb: { NewImage: { bad: true }, SequenceNumber: "s1" } });
    await leave(ROOM, 1);
    advance(3_000);
    expect(await streamer.fanOutHandler()({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([[1], [1]]);
    expect(lines.join()).toMatch(/A record of the table stream is unreadable.*BAD_ROW/);
  });

  it("limits the channels in progress and completes all of them", async () => {
    const { streamer, records, leave, advance, getPendingFanOut } = await simulate();
    for (let n = 0; n < 40; n++) await leave(`room:${n}`, n);
    advance(3_000);
    let [running, most] = [0, 0];
    getPendingFanOut.mockImplementation(async () => {
      most = Math.max(most, ++running);
      // Long enough to start all of them.
      for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
      running--;
      return undefined;
    });
    expect(await streamer.fanOutHandler()({ Records: records }, lambdaContext())).toEqual(reported());
    expect(getPendingFanOut).toHaveBeenCalledTimes(40);
    expect(most).toBe(16);
  });

  it("is rejected without a table stream and with invalid options", async () => {
    const { streamer } = await simulate();
    const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
    expect(() => simulateStreamer().streamer.fanOutHandler()).toThrow(invalid);
    expect(() => streamer.fanOutHandler({ graceMs: 60_001 })).toThrow(invalid);
    expect(() => streamer.fanOutHandler({ delayMs: 1 } as object)).toThrow(invalid);
  });
});
