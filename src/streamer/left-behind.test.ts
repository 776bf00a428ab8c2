import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { streamerWorld } from "../../test/streamer-world.ts";
import { lambdaContext } from "../lift/testing.ts";
import type { ChannelStore, StreamedHistory, Unfinished } from "../store/index.ts";
import { memoryChannelStore } from "../store/memory/index.ts";

const ROOM = "room:lobby";
const HALL = "room:hall";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A memory store that is told of as a table would be: an image is what was stored. */
function streamedStore(now: () => number) {
  const store = memoryChannelStore({ now });
  const { history } = store;
  const unfinishedAt = vi.fn(async (channel: string, offset: number) => {
    for await (const left of history.unfinished(Number.POSITIVE_INFINITY)) {
      if (left.channel === channel && left.message.offset === offset) return left;
    }
    return undefined;
  });
  const storedIn = (image: { left?: Unfinished; bad?: true }) => {
    if (image.bad) throw new Error("BAD_ROW");
    return image.left;
  };
  const streamed = Object.assign(Object.create(history), bound(history), { unfinishedAt, storedIn });
  return { store: { ...store, history: streamed as StreamedHistory }, unfinishedAt };
}

function bound(history: ChannelStore["history"]) {
  const names = ["append", "history", "head", "finish", "checkpoint", "unfinished"] as const;
  return Object.fromEntries(names.map((name) => [name, history[name].bind(history)]));
}

/** Two in two rooms, and publications that are left as soon as they are stored. */
async function world() {
  let time = Date.UTC(2026, 0, 1);
  const { store, unfinishedAt } = streamedStore(() => time);
  const made = streamerWorld({ store, now: () => time });
  const [ada, bob] = [await made.client("ada", { user: "ada" }), await made.client("bob", { user: "bob" })];
  for (const client of [ada, bob]) {
    await client.ask("subscribe", { channels: [{ channel: ROOM }, { channel: HALL }] });
  }
  const records: { dynamodb: { NewImage: object; SequenceNumber: string } }[] = [];
  const leave = async (channel: string, data: number) => {
    const pages = vi.spyOn(store.members, "pages").mockImplementation(() => {
      throw new Error("killed");
    });
    const { position } = await made.streamer.publish(channel, data);
    pages.mockRestore();
    const key = JSON.stringify([null, channel]);
    const left = await unfinishedAt(key, position?.offset ?? 0);
    unfinishedAt.mockClear();
    records.push({ dynamodb: { NewImage: { left }, SequenceNumber: `s${records.length + 1}` } });
    return [key, position?.offset] as const;
  };
  return {
    ...made,
    store,
    unfinishedAt,
    records,
    leave,
    ada,
    bob,
    later: (ms: number) => {
      time += ms;
    },
    got: () => [ada, bob].map((client) => client.pushed("message").map(({ data }) => data)),
  };
}

const reported = (...numbers: string[]) => ({
  batchItemFailures: numbers.map((itemIdentifier) => ({ itemIdentifier })),
});

describe("the stream's function", () => {
  it("sends everyone what its publisher has stored and left", async () => {
    const { streamer, records, leave, later, got, store } = await world();
    await leave(ROOM, 1);
    later(3_000);
    expect(got()).toEqual([[], []]);
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([[1], [1]]);
    expect(await store.history.unfinished(Number.POSITIVE_INFINITY)[Symbol.asyncIterator]().next()).toEqual({
      done: true,
      value: undefined,
    });
  });

  it("costs a read for each message that is finished, and nothing for what is no message", async () => {
    const { streamer, records, leave, unfinishedAt, store, later, got } = await world();
    const [key, offset] = await leave(ROOM, 1);
    await store.history.finish(key, offset ?? 0);
    later(3_000);
    const pages = vi.spyOn(store.members, "pages");
    const others = [{ dynamodb: { NewImage: {}, SequenceNumber: "s2" } }, { dynamodb: {} }, {}];
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: [...records, ...others] }, lambdaContext())).toEqual(reported());
    expect(unfinishedAt).toHaveBeenCalledExactlyOnceWith(key, offset, expect.anything());
    expect(pages).not.toHaveBeenCalled();
    expect(got()).toEqual([[], []]);
  });

  it("leaves a message to its publisher until its grace is over, and looks only then", async () => {
    const { streamer, records, leave, unfinishedAt, later } = await world();
    await leave(ROOM, 1);
    later(2_000);
    const handled = streamer.fanOutHandler({ graceMs: 5_000 })({ Records: records }, lambdaContext());
    await vi.advanceTimersByTimeAsync(2_999);
    expect(unfinishedAt).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(unfinishedAt).toHaveBeenCalledOnce();
    expect(await handled).toEqual(reported());
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits no longer than the grace for a publisher whose clock is ahead", async () => {
    const { streamer, records, leave, unfinishedAt, later } = await world();
    await leave(ROOM, 1);
    later(-60_000);
    const handled = streamer.fanOutHandler()({ Records: records }, lambdaContext());
    await vi.advanceTimersByTimeAsync(3_000);
    expect(unfinishedAt).toHaveBeenCalledOnce();
    await handled;
  });

  it("reports, without a wait, what it has no time to wait for", async () => {
    const { streamer, records, leave, unfinishedAt } = await world();
    await leave(ROOM, 1);
    const context = lambdaContext({ getRemainingTimeInMillis: () => 3_999 });
    expect(await streamer.fanOutHandler()({ Records: records }, context)).toEqual(reported("s1"));
    expect(unfinishedAt).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("begins nothing in its last second, and reports it", async () => {
    const { streamer, records, leave, later, got, store } = await world();
    for (const data of [1, 2]) await leave(ROOM, data);
    later(3_000);
    let left = 29_000;
    const finish = vi.spyOn(store.history, "finish").mockImplementation(async () => {
      left = 999;
    });
    const context = lambdaContext({ getRemainingTimeInMillis: () => left });
    expect(await streamer.fanOutHandler()({ Records: records }, context)).toEqual(reported("s2"));
    expect(finish).toHaveBeenCalledOnce();
    expect(got()).toEqual([[1], [1]]);
  });

  it("sends a channel's messages in their order", async () => {
    const { streamer, records, leave, later, got, unfinishedAt } = await world();
    for (const data of [1, 2, 3]) await leave(ROOM, data);
    await leave(HALL, 4);
    later(3_000);
    // The first is the slowest.
    let slow = 3;
    const read = unfinishedAt.getMockImplementation()!;
    unfinishedAt.mockImplementation(async (...args) => {
      for (let turn = slow--; turn > 0; turn--) await Promise.resolve();
      return read(...args);
    });
    await streamer.fanOutHandler()({ Records: records }, lambdaContext());
    for (const data of got()) expect(data.filter((it) => it !== 4)).toEqual([1, 2, 3]);
    expect(got().flat()).toHaveLength(8);
  });

  it("reports what could not be read or sent, and does the rest", async () => {
    const { streamer, records, leave, later, got, unfinishedAt, lines } = await world();
    for (const [channel, data] of [
      [ROOM, 1],
      [HALL, 2],
    ] as const)
      await leave(channel, data);
    later(3_000);
    unfinishedAt.mockRejectedValueOnce(new Error("throttled"));
    const handler = streamer.fanOutHandler();
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported("s1"));
    expect(got()).toEqual([[2], [2]]);
    expect(lines.join()).toMatch(/Whether a message was left is not known/);
    expect(await handler({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  it("is held up by no record that it can't understand", async () => {
    const { streamer, records, leave, later, got, lines } = await world();
    records.push({ dynamodb: { NewImage: { bad: true }, SequenceNumber: "s1" } });
    await leave(ROOM, 1);
    later(3_000);
    expect(await streamer.fanOutHandler()({ Records: records }, lambdaContext())).toEqual(reported());
    expect(got()).toEqual([[1], [1]]);
    expect(lines.join()).toMatch(/A record of the stream was not understood.*BAD_ROW/);
  });

  it("looks after so many channels at a time, and after all of them", async () => {
    const { streamer, records, leave, later, unfinishedAt } = await world();
    for (let n = 0; n < 40; n++) await leave(`room:${n}`, n);
    later(3_000);
    let [running, most] = [0, 0];
    unfinishedAt.mockImplementation(async () => {
      most = Math.max(most, ++running);
      // Longer than it takes to begin with all of them.
      for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
      running--;
      return undefined;
    });
    expect(await streamer.fanOutHandler()({ Records: records }, lambdaContext())).toEqual(reported());
    expect(unfinishedAt).toHaveBeenCalledTimes(40);
    expect(most).toBe(16);
  });

  it("is refused where the store has no stream, and with options that it does not know", async () => {
    const { streamer } = await world();
    const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
    expect(() => streamerWorld().streamer.fanOutHandler()).toThrow(invalid);
    expect(() => streamer.fanOutHandler({ graceMs: 60_001 })).toThrow(invalid);
    expect(() => streamer.fanOutHandler({ delayMs: 1 } as object)).toThrow(invalid);
  });
});
