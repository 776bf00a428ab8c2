import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { lambdaContext } from "../../lift/testing/index.ts";
import { LIMITS, utf8Length } from "../../protocol/index.ts";

const ROOM = "room:lobby";
const at = (offset: number, epoch = expect.any(String)) => ({ epoch, offset });

/** Simulates a room with a subscriber and a publisher. */
async function room(options: Parameters<typeof simulateStreamer>[0] = {}) {
  const simulation = simulateStreamer(options);
  const ada = await simulation.client("ada-1", { user: "ada" });
  const say = (...texts: string[]) =>
    texts.reduce<Promise<unknown>>(
      (last, text) => last.then(() => simulation.streamer.publish(ROOM, { text })),
      Promise.resolve(),
    );
  const subscribe = async (fields: object = {}) => {
    const answer = await ada.ask("subscribe", { channels: [{ channel: ROOM, ...fields }] });
    return answer.data.channels[0];
  };
  const texts = ({ messages }: { messages: { data: { text: string } }[] }) =>
    messages.map(({ data }) => data.text);
  return { ...simulation, ada, say, subscribe, texts };
}

describe("subscribe", () => {
  it("returns the channel's position, after which messages arrive", async () => {
    const { ada, say, subscribe } = await room();
    await say("before");
    expect(await subscribe()).toEqual({ channel: ROOM, position: at(1) });
    await say("after");
    expect(ada.pushed("message")).toEqual([
      {
        type: "message",
        id: expect.any(String),
        channel: ROOM,
        data: { text: "after" },
        at: START,
        position: at(2),
      },
    ]);
  });

  it("returns the newest messages on request, with the position of the last", async () => {
    const { say, subscribe, texts } = await room();
    await say("1", "2", "3");
    const answer = await subscribe({ recent: 2 });
    expect(texts(answer)).toEqual(["2", "3"]);
    expect(answer.position).toEqual(at(3));
    expect(answer).not.toHaveProperty("recovered");
  });

  it("returns one result per channel, in the requested order", async () => {
    const { client } = simulateStreamer({
      channels: {
        room: OPEN,
        closed: {},
        broken: {
          subscribe: () => {
            throw new Error("the rule's secret");
          },
        },
      },
    });
    const ada = await client("ada", { user: "ada" });
    const channels = ["closed:a", "room:b", "nowhere:c", "broken:d", "room:e"].map((channel) => ({
      channel,
    }));
    const { data } = await ada.ask("subscribe", { channels });
    expect(data.channels).toEqual([
      {
        channel: "closed:a",
        error: {
          code: "FORBIDDEN",
          message: "No rule lets clients subscribe: set `channels.closed.subscribe`",
          retry: false,
        },
      },
      { channel: "room:b", position: at(0) },
      {
        channel: "nowhere:c",
        error: { code: "NOT_FOUND", message: "Unknown namespace `nowhere`", retry: false },
      },
      {
        channel: "broken:d",
        error: { code: "INTERNAL_ERROR", message: "Internal server error", retry: false },
      },
      { channel: "room:e", position: at(0) },
    ]);
  });

  it("adds the connection before it reads the position", async () => {
    const { streamer, store, ada, subscribe } = await room();
    const head = store.history.readHead.bind(store.history);
    vi.spyOn(store.history, "readHead").mockImplementation(async (...args) => {
      await streamer.publish(ROOM, { text: "meanwhile" });
      return head(...args);
    });
    await subscribe();
    expect(ada.pushed("message").map(({ data }) => data.text)).toEqual(["meanwhile"]);
  });

  it("returns no position past the returned messages", async () => {
    const { streamer, store, say, subscribe, texts } = await room();
    await say("1");
    const history = store.history.read.bind(store.history);
    vi.spyOn(store.history, "read").mockImplementation(async (...args) => {
      const page = await history(...args);
      await streamer.publish(ROOM, { text: "2" });
      return { ...page, head: await store.history.readHead(args[0]) };
    });
    const answer = await subscribe({ recent: 5 });
    expect([texts(answer), answer.position.offset]).toEqual([["1"], 1]);
    const again = await subscribe({ position: { ...answer.position, offset: 1 } });
    expect([again.recovered, texts(again), again.position.offset]).toEqual([true, ["2"], 2]);
  });

  it("reports that an at-most-once channel recovers nothing", async () => {
    const { ada } = await room();
    const position = { epoch: "e", offset: 1 };
    const channels = [{ channel: "flash:a" }, { channel: "flash:b", position, recent: 5 }];
    expect((await ada.ask("subscribe", { channels })).data.channels).toEqual([
      { channel: "flash:a" },
      { channel: "flash:b", recovered: false, messages: [] },
    ]);
  });

  it("leaves the channel when the client disconnects before the response", async () => {
    const { ada, connections, streamer } = await room();
    connections.gone("ada-1");
    await ada.leave();
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(await streamer.count(ROOM)).toBe(0);
    expect(await collect(streamer.presence(ROOM))).toEqual([]);
  });

  it("refuses only the channel in which the store fails", async () => {
    const { ada, store, lines } = await room();
    const add = store.members.add.bind(store.members);
    vi.spyOn(store.members, "add").mockImplementation(async (key, ...rest) => {
      if (key.includes("room:bad")) throw new Error("throttled by 10.0.0.1");
      return add(key, ...rest);
    });
    const channels = [{ channel: "room:bad" }, { channel: ROOM }];
    expect((await ada.ask("subscribe", { channels })).data.channels).toEqual([
      {
        channel: "room:bad",
        error: { code: "STORE_FAILED", message: "The store did not answer", retry: true },
      },
      { channel: ROOM, position: at(0) },
    ]);
    expect(lines.join()).toContain("throttled by 10.0.0.1");
  });
});

describe("recovery", () => {
  it("returns the messages after the position", async () => {
    const { say, subscribe, texts } = await room();
    const { position } = await subscribe();
    await say("1", "2");
    const answer = await subscribe({ position });
    expect(answer).toMatchObject({ recovered: true, position: { ...position, offset: 2 } });
    expect(texts(answer)).toEqual(["1", "2"]);
    expect(await subscribe({ position: answer.position })).toEqual({
      channel: ROOM,
      position: answer.position,
      recovered: true,
      messages: [],
    });
  });

  it.each([
    ["of another epoch", { epoch: "another", offset: 1 }],
    ["in the future", { offset: 4 }],
    ["one message before the oldest stored one", { offset: 0 }],
  ])("reports recovered: false for a position %s", async (_what, wrong) => {
    const { say, subscribe } = await room({ channels: { room: { ...OPEN, history: { size: 2 } } } });
    await say("1", "2", "3");
    const { position } = await subscribe();
    expect(await subscribe({ position: { ...position, offset: 1 } })).toMatchObject({ recovered: true });
    expect(await subscribe({ position: { ...position, ...wrong } })).toEqual({
      channel: ROOM,
      position,
      recovered: false,
      messages: [],
    });
  });

  it("reports recovered: false when missed messages are too old, and true when none were missed", async () => {
    const { say, subscribe, advance } = await room({
      channels: { room: { ...OPEN, history: { ageMs: 1_000 } } },
    });
    await say("1", "2");
    const { position } = await subscribe();
    advance(1_000);
    expect(await subscribe({ position: { ...position, offset: 1 } })).toMatchObject({ recovered: false });
    expect(await subscribe({ position })).toMatchObject({ recovered: true, messages: [] });
  });

  it("fits the response into one frame and leaves the rest to history", async () => {
    const { ada, streamer, connections, texts } = await room({
      channels: { room: { ...OPEN, maxBytes: 60_000 } },
    });
    const channels = Array.from({ length: 3 }, (_, n) => ({ channel: `room:${n}` }));
    const subscribed = (await ada.ask("subscribe", { channels })).data.channels;
    for (const { channel } of channels) {
      for (const n of [1, 2, 3])
        await streamer.publish(channel, { text: String(n), pad: "é".repeat(20_000) });
    }
    const { data } = await ada.ask("subscribe", { channels: subscribed });
    expect(utf8Length(connections.sentTo("ada-1").at(-1)!)).toBeLessThanOrEqual(LIMITS.messageBytes);
    expect(data.channels.map(texts)).toEqual([["1", "2", "3"], [], []]);
    expect(
      data.channels.map(({ more, recovered }: { more?: boolean; recovered: boolean }) => [more, recovered]),
    ).toEqual([
      [undefined, true],
      [true, true],
      [true, true],
    ]);
    const rest = await ada.ask("history", { channel: "room:1", after: subscribed[1].position });
    expect(texts(rest.data)).toEqual(["1", "2", "3"]);
  });

  it("fits a hundred channels with the longest names into one frame", async () => {
    const { ada, streamer, connections } = await room();
    const channels = Array.from({ length: 100 }, (_, n) => ({
      channel: `room:${String(n).padEnd(200, '"')}`,
      recent: 100,
    }));
    for (const { channel } of channels) await streamer.publish(channel, "x".repeat(10_000));
    await ada.ask("subscribe", { channels });
    const answer = connections.sentTo("ada-1").find((text) => text.startsWith('{"type":"response"'));
    expect(utf8Length(answer!)).toBeLessThanOrEqual(LIMITS.messageBytes);
    expect(ada.received().find(({ type }) => type === "response").data.channels).toHaveLength(100);
  });
});

describe("maxSubscriptions", () => {
  const refused = (answer: { data: { channels: object[] } }) =>
    answer.data.channels.filter((channel) => "error" in channel);

  it("refuses further channels, and allows channels left or subscribed before", async () => {
    const { ada } = await room({ maxSubscriptions: 2 });
    const ask = (...names: string[]) =>
      ada.ask("subscribe", { channels: names.map((name) => ({ channel: `room:${name}` })) });
    const limit = {
      code: "LIMIT_EXCEEDED",
      message: "A connection has at most 2 subscriptions",
      retry: false,
    };
    expect(refused(await ask("a", "b", "c"))).toEqual([{ channel: "room:c", error: limit }]);
    expect(refused(await ask("b", "a"))).toEqual([]);
    await ada.ask("unsubscribe", { channels: ["room:a"] });
    expect(refused(await ask("c", "b", "d"))).toEqual([{ channel: "room:d", error: limit }]);
  });

  it("holds for ten thousand requests at once", async () => {
    const { ada, store } = await room();
    const frame = (n: number) => Array.from({ length: 100 }, (_, i) => ({ channel: `room:${n}-${i}` }));
    await Promise.all(Array.from({ length: 100 }, (_, n) => ada.ask("subscribe", { channels: frame(n) })));
    expect(await collect(store.members.listChannels("ada-1"))).toHaveLength(100);
  });
});

describe("unsubscribe", () => {
  it("stops the channel's messages, and succeeds without a subscription", async () => {
    const { ada, say, subscribe } = await room();
    await subscribe();
    const answered = { type: "response", request_id: expect.any(String), success: true, data: {} };
    for (const channels of [[ROOM], [ROOM], ["nowhere:x"]]) {
      expect(await ada.ask("unsubscribe", { channels })).toEqual(answered);
    }
    await say("unheard");
    expect(ada.pushed("message")).toEqual([]);
  });

  it("leaves the other channels when the store fails in one, and reports the failure", async () => {
    const { ada, store, streamer } = await room();
    const channels = ["room:bad", "room:good"];
    await ada.ask("subscribe", { channels: channels.map((channel) => ({ channel })) });
    const remove = store.members.remove.bind(store.members);
    vi.spyOn(store.members, "remove").mockImplementation(async (key, ...rest) => {
      if (key.includes("room:bad")) throw new Error("throttled");
      return remove(key, ...rest);
    });
    expect(await ada.ask("unsubscribe", { channels })).toMatchObject({ error: { code: "STORE_FAILED" } });
    expect(await streamer.count("room:good")).toBe(0);
  });

  it("runs after an earlier subscribe of the connection", async () => {
    const { ada, streamer } = await room();
    const subscribing = ada.send({ action: "subscribe", payload: { channels: [{ channel: ROOM }] } });
    await Promise.all([subscribing, ada.send({ action: "unsubscribe", payload: { channels: [ROOM] } })]);
    expect(await streamer.count(ROOM)).toBe(0);
  });
});

it("a response that can't be sent is logged, and the subscription stays", async () => {
  const { ada, connections, lines, streamer } = await room();
  connections.throttled("ada-1");
  await ada.send({ action: "subscribe", payload: { channels: [{ channel: ROOM }] } }, lambdaContext());
  expect(lines.join()).toContain("A response was not sent");
  expect(await streamer.count(ROOM)).toBe(1);
});
