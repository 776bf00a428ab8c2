import { describe, expect, it } from "vitest";
import { connected, type Setup, setup } from "../../../test/client/setup.ts";
import type { ClientError, SubscribeOptions } from "../index.ts";

/** Subscribes, and records the calls of its listeners. */
function listen({ client }: Setup, channel: string, options: SubscribeOptions = {}) {
  const calls: unknown[] = [];
  const subscription = client.subscribe(channel, {
    onMessage: ({ data }) => calls.push(data),
    onRecovered: () => calls.push("recovered"),
    onLost: ({ epoch, offset }) => calls.push(`lost to ${epoch}:${offset}`),
    onError: ({ code }) => calls.push(code),
    ...options,
  });
  return { calls, subscription };
}

function publish({ server }: Setup, channel: string, ...data: number[]): void {
  for (const item of data) server.publish(channel, item);
}

function asked({ server }: Setup, action: string): unknown[] {
  return server.requests.filter((request) => request.action === action).map(({ payload }) => payload);
}

describe("subscribing", () => {
  it("subscribes to channels of the same turn in one frame", async () => {
    const all = setup();
    listen(all, "room:a", { recent: 5, state: { typing: true } });
    listen(all, "topic:b");
    all.client.connect();
    await all.clock.pass(10);
    expect(asked(all, "subscribe")).toEqual([
      { channels: [{ channel: "room:a", recent: 5, state: { typing: true } }, { channel: "topic:b" }] },
    ]);
  });

  it("delivers recent messages first, then new ones", async () => {
    const all = await connected();
    publish(all, "room:a", 1, 2, 3);
    const { calls } = listen(all, "room:a", { recent: 2 });
    await all.clock.pass(10);
    publish(all, "room:a", 4);
    await all.clock.pass(10);
    expect(calls).toEqual([2, 3, 4]);
  });

  it("delivers recent messages to a second subscription without subscribing again", async () => {
    const all = await connected();
    publish(all, "room:a", 1, 2, 3);
    const first = listen(all, "room:a", { recent: 1 });
    await all.clock.pass(10);
    const second = listen(all, "room:a", { recent: 3 });
    const third = listen(all, "room:a");
    publish(all, "room:a", 4);
    await all.clock.pass(10);
    publish(all, "room:a", 5);
    await all.clock.pass(10);
    expect([first.calls, second.calls, third.calls]).toEqual([
      [3, 4, 5],
      [2, 3, 4, 5],
      [4, 5],
    ]);
    expect(asked(all, "subscribe")).toHaveLength(1);
  });

  it("delivers a message that overtakes the recent ones of a second subscription after them", async () => {
    const all = await connected();
    listen(all, "room:a");
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    all.server.intercept = ({ action }) => {
      if (action !== "history") return undefined;
      const { head: position, messages } = all.server.channel("room:a");
      const page = { messages: [...messages], position, more: false };
      publish(all, "room:a", 2);
      return page;
    };
    const { calls } = listen(all, "room:a", { recent: 2 });
    await all.clock.pass(10);
    expect(calls).toEqual([1, 2]);
  });

  it("delivers recent messages to a second subscription also after a slow reconnect or a late connect", async () => {
    const all = await connected();
    publish(all, "room:a", 1, 2, 3);
    listen(all, "room:a");
    await all.clock.pass(10);
    all.server.upgrade = () => false;
    all.server.opened[0]!.cut();
    await all.clock.pass(10);
    const [second, left] = [1, 2].map(() => listen(all, "room:a", { recent: 2 }));
    await all.clock.pass(20_000);
    left!.subscription.unsubscribe();
    all.client.disconnect();
    all.server.upgrade = () => true;
    await all.clock.pass(10);
    all.client.connect();
    await all.clock.pass(10);
    expect([second!.calls, left!.calls]).toEqual([["recovered", 2, 3], []]);
    expect(all.errors).toMatchObject([{ code: "CONNECT_FAILED" }]);
    expect(asked(all, "history")).toHaveLength(1);
  });

  it("is ready after its recent messages, and at once in a channel without history", async () => {
    const all = await connected();
    publish(all, "room:a", 1, 2, 3);
    const found: unknown[] = [];
    const look = ({ calls, subscription }: ReturnType<typeof listen>) =>
      subscription.ready.then(() => found.push([subscription.channel, ...calls]));
    for (const channel of ["room:a", "topic:b"]) {
      void look(listen(all, channel, { recent: 1 }));
      void look(listen(all, channel, { recent: 2 }));
    }
    await all.clock.pass(10);
    void look(listen(all, "room:a", { recent: 3 }));
    await all.clock.pass(10);
    expect(found).toEqual([["room:a", 3], ["topic:b"], ["topic:b"], ["room:a", 2, 3], ["room:a", 1, 2, 3]]);
  });

  it("is ready when its history is lost during the request", async () => {
    const all = await connected();
    publish(all, "room:a", 1);
    listen(all, "room:a", { recent: 1 });
    await all.clock.pass(10);
    const { calls, subscription } = listen(all, "room:a", { recent: 1 });
    all.server.loseHistory("room:a");
    for (const socket of all.server.sockets) socket.cut();
    await all.clock.pass(1_000);
    await subscription.ready;
    expect(calls).toEqual(["lost to e1x:0"]);
  });

  it("leaves the channel with the last subscription, and resubscribes only after leaving", async () => {
    const all = await connected();
    const first = listen(all, "room:a");
    const second = listen(all, "room:a");
    await all.clock.pass(10);
    first.subscription.unsubscribe();
    await all.clock.pass(10);
    expect(asked(all, "unsubscribe")).toEqual([]);
    second.subscription.unsubscribe();
    await all.clock.pass(0);
    const third = listen(all, "room:a");
    await all.clock.pass(10);
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    expect(all.server.actions).toEqual(["subscribe", "unsubscribe", "subscribe"]);
    expect([first.calls, second.calls, third.calls]).toEqual([[], [], [1]]);
  });

  it("leaves again after an error that may pass, and not after another", async () => {
    for (const [code, count] of [
      ["STORE_FAILED", 3],
      ["FORBIDDEN", 1],
    ] as const) {
      const all = await connected();
      const { subscription } = listen(all, "room:a");
      await all.clock.pass(10);
      let failures = 2;
      all.server.intercept = ({ action }) => (action === "unsubscribe" && failures-- > 0 ? code : undefined);
      subscription.unsubscribe();
      await all.clock.pass(60_000);
      expect(asked(all, "unsubscribe")).toHaveLength(count);
      listen(all, "room:a");
      await all.clock.pass(10);
      expect(asked(all, "subscribe")).toHaveLength(2);
    }
  });

  it("is ready without recent messages that the server refuses, and reports the error", async () => {
    const all = await connected();
    listen(all, "room:a");
    await all.clock.pass(10);
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    all.server.intercept = ({ action }) => (action === "history" ? "FORBIDDEN" : undefined);
    const { calls, subscription } = listen(all, "room:a", { recent: 1 });
    const left = listen(all, "room:a", { recent: 1 });
    left.subscription.unsubscribe();
    await all.clock.pass(10);
    await subscription.ready;
    publish(all, "room:a", 2);
    await all.clock.pass(10);
    expect([calls, left.calls]).toEqual([[2], []]);
    expect(all.errors).toMatchObject([{ code: "FORBIDDEN" }]);
  });

  it("leaves an unanswered channel that is no longer desired, because the server may have subscribed it", async () => {
    const all = await connected();
    all.server.faults.drop = 1;
    const { subscription } = listen(all, "room:a");
    await all.clock.pass(10);
    subscription.unsubscribe();
    all.server.faults.drop = 0;
    await all.clock.pass(20_000);
    expect(asked(all, "unsubscribe")).toEqual([{ channels: ["room:a"] }]);
    listen(all, "room:a");
    await all.clock.pass(10);
    expect(asked(all, "subscribe")).toHaveLength(2);
  });

  it("sends no unsubscribe when it resubscribes at once", async () => {
    const all = await connected();
    listen(all, "room:a").subscription.unsubscribe();
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    expect([all.server.actions, calls]).toEqual([["subscribe"], [1]]);
  });

  it("ends with its signal", async () => {
    const all = await connected();
    const controller = new AbortController();
    const { subscription } = listen(all, "room:a", { signal: controller.signal });
    await all.clock.pass(10);
    await subscription.ready;
    controller.abort();
    await all.clock.pass(10);
    expect(all.server.actions).toEqual(["subscribe", "unsubscribe"]);
    const late = listen(all, "room:a", { signal: AbortSignal.abort() });
    await expect(late.subscription.ready).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("reports a refusal, and keeps the other channels", async () => {
    const all = await connected();
    const refused = listen(all, "secret:a");
    const taken = listen(all, "room:a");
    await all.clock.pass(10);
    publish(all, "room:a", 1);
    await all.clock.pass(60_000);
    expect([refused.calls, taken.calls]).toEqual([["FORBIDDEN"], [1]]);
    await expect(refused.subscription.ready).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(asked(all, "subscribe")).toHaveLength(1);
  });

  it("reports a refusal that no subscription handles to the client", async () => {
    const { client, clock, errors } = await connected();
    client.subscribe("secret:a");
    await clock.pass(10);
    expect(errors.map(({ code }) => code)).toEqual(["FORBIDDEN"]);
  });

  it.each(["RATE_LIMITED", "STORE_FAILED"] as const)("retries after %s", async (code) => {
    const all = await connected();
    let failures = 3;
    all.server.intercept = ({ action }) => (action === "subscribe" && failures-- > 0 ? code : undefined);
    const { calls, subscription } = listen(all, "room:a");
    await all.clock.pass(10_000);
    await subscription.ready;
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    expect([calls, asked(all, "subscribe").length]).toEqual([[1], 4]);
  });

  it("splits subscriptions into frames of 100 channels and 32,768 bytes", async () => {
    const all = await connected();
    const names = Array.from({ length: 250 }, (_, at) => `room:${at}`);
    // Each character is twice as long when escaped.
    const long = Array.from({ length: 150 }, (_, at) => `room:${'"'.repeat(190)}${at}`);
    for (const name of [...names, ...long]) listen(all, name);
    await all.clock.pass(10);
    const frames = asked(all, "subscribe") as { channels: { channel: string }[] }[];
    expect(frames.flatMap(({ channels }) => channels.map(({ channel }) => channel))).toEqual([
      ...names,
      ...long,
    ]);
    expect(frames.slice(0, 2).map(({ channels }) => channels.length)).toEqual([100, 100]);
    await all.clock.pass(300_000);
    const beats = asked(all, "heartbeat") as { positions: Map<string, unknown> }[];
    expect(beats.reduce((sum, { positions }) => sum + positions.size, 0)).toBe(400);
  });

  it.each(["room", ":a", "Room:a", `room:${"a".repeat(201)}`, "room:\0", ["room:a"]])(
    "refuses the name %j",
    (name) => {
      const { client } = setup();
      expect(() => client.subscribe(name as string)).toThrow(
        expect.objectContaining({ code: "INVALID_CHANNEL" }),
      );
    },
  );

  it.each([{ recent: -1 }, { recent: 101 }, { recent: 1.5 }, { bufferSize: 0 }])("refuses %j", (options) => {
    const { client } = setup();
    expect(() => client.subscribe("room:a", options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});

describe("order", () => {
  /** Sends a stored message to all subscribers. */
  const resend = ({ server }: Setup, offset: number) =>
    server.broadcast("room:a", server.channel("room:a").messages[offset - 1]!);

  /** Stores messages without delivering them. */
  function store(all: Setup, ...data: number[]): void {
    all.server.faults.drop = 1;
    publish(all, "room:a", ...data);
    all.server.faults.drop = 0;
  }

  it("buffers early messages, and requests nothing when the missing ones arrive soon", async () => {
    const all = await connected();
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2, 3);
    for (const offset of [3, 2, 2, 1, 3]) {
      resend(all, offset);
      await all.clock.pass(10);
    }
    expect(calls).toEqual([1, 2, 3]);
    expect(all.server.actions).toEqual(["subscribe"]);
  });

  it("fetches missing messages page by page", async () => {
    const all = await connected();
    all.server.pageSize = 3;
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2, 3, 4, 5, 6, 7, 8);
    resend(all, 8);
    await all.clock.pass(100);
    expect(calls).toEqual([]);
    await all.clock.pass(200);
    expect(calls).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(asked(all, "history")).toHaveLength(3);
  });

  it("requests missing messages once when several later ones arrive", async () => {
    const all = await connected();
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2, 3, 4);
    for (const offset of [2, 3, 4]) resend(all, offset);
    await all.clock.pass(1_000);
    expect(calls).toEqual([1, 2, 3, 4]);
    expect(asked(all, "history")).toHaveLength(1);
  });

  it("detects lost last messages with its heartbeat", async () => {
    const all = await connected({ heartbeatMs: 10_000 });
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1);
    await all.clock.pass(10_000);
    expect(calls).toEqual([1]);
  });

  it("keeps requesting after server errors", async () => {
    const all = await connected();
    let failures = 3;
    all.server.intercept = ({ action }) =>
      action === "history" && failures-- > 0 ? "STORE_FAILED" : undefined;
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2);
    resend(all, 2);
    await all.clock.pass(10_000);
    expect(calls).toEqual([1, 2]);
  });

  it("requests with growing pauses while the server fails", async () => {
    const all = await connected();
    const times: number[] = [];
    all.server.intercept = ({ action }) => {
      if (action !== "history") return undefined;
      times.push(all.clock.now());
      return "STORE_FAILED";
    };
    listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2);
    resend(all, 2);
    await all.clock.pass(3_000);
    // Less the time on the network.
    expect(times.slice(1).map((time, at) => time - times[at]! - 2)).toEqual([250, 500, 1_000]);
  });

  it("ends when the server no longer allows the history", async () => {
    const all = await connected();
    all.server.intercept = ({ action }) => (action === "history" ? "FORBIDDEN" : undefined);
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1, 2);
    resend(all, 2);
    await all.clock.pass(1_000);
    expect(calls).toEqual(["FORBIDDEN"]);
  });

  it("stops requesting messages that the server reports but does not return", async () => {
    const all = await connected();
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    store(all, 1);
    const [message] = all.server.channel("room:a").messages;
    all.server.broadcast("room:a", { ...message!, id: "m9", position: { epoch: "e1", offset: 9 } });
    await all.clock.pass(60_000);
    expect(calls).toEqual([1]);
    expect(asked(all, "history").length).toBeLessThan(6);
  });

  it("asks the server after a message of another epoch", async () => {
    const all = await connected();
    const { calls } = listen(all, "room:a");
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    all.server.loseHistory("room:a");
    publish(all, "room:a", 2);
    await all.clock.pass(1_000);
    publish(all, "room:a", 3);
    await all.clock.pass(1_000);
    expect(calls).toEqual(["lost to e1x:1", 3]);
  });
});

describe("recovering", () => {
  async function cut(all: Setup, meanwhile: () => void): Promise<void> {
    for (const socket of all.server.sockets) socket.cut();
    meanwhile();
    await all.clock.pass(5_000);
  }

  it("resubscribes all channels in one frame with their positions, and gets the missed messages", async () => {
    const all = await connected();
    const roomA = listen(all, "room:a", { recent: 10 });
    const topicB = listen(all, "topic:b", { recent: 10 });
    await all.clock.pass(10);
    publish(all, "room:a", 1);
    await all.clock.pass(10);
    await cut(all, () => publish(all, "room:a", 2, 3));
    publish(all, "topic:b", 9);
    await all.clock.pass(10);
    expect(asked(all, "subscribe")[1]).toEqual({
      channels: [{ channel: "room:a", position: { epoch: "e1", offset: 1 } }, { channel: "topic:b" }],
    });
    expect([roomA.calls, topicB.calls]).toEqual([[1, 2, 3, "recovered"], [9]]);
  });

  it("fetches missed messages page by page, then reports recovery", async () => {
    const all = await connected();
    all.server.pageSize = 2;
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    await cut(all, () => publish(all, "room:a", 1, 2, 3, 4, 5));
    expect(calls).toEqual([1, 2, 3, 4, 5, "recovered"]);
  });

  it("reports a loss with the new position, and continues from there", async () => {
    const all = await connected();
    const { calls } = listen(all, "room:a");
    await all.clock.pass(10);
    await cut(all, () => {
      publish(all, "room:a", 1, 2, 3);
      all.server.trim("room:a", 2);
    });
    publish(all, "room:a", 4);
    await all.clock.pass(10);
    expect(calls).toEqual(["lost to e1:3", 4]);
  });

  it("reports a loss that no subscription handles to the client", async () => {
    const all = await connected();
    all.client.subscribe("room:a", { onMessage: () => {} });
    await all.clock.pass(10);
    await cut(all, () => all.server.loseHistory("room:a"));
    expect(all.errors).toMatchObject([{ code: "HISTORY_LOST", position: { epoch: "e1x", offset: 0 } }]);
  });
});

describe("iterating", () => {
  it("yields messages in order, and ends the subscription when the loop breaks", async () => {
    const { client, clock, server } = await connected();
    const read = (async () => {
      const seen: unknown[] = [];
      for await (const { data } of client.subscribe("room:a")) {
        seen.push(data);
        if (seen.length === 3) break;
      }
      return seen;
    })();
    await clock.pass(10);
    for (const data of [1, 2, 3, 4]) server.publish("room:a", data);
    await clock.pass(10);
    expect(await read).toEqual([1, 2, 3]);
    await clock.pass(10);
    expect(server.actions).toEqual(["subscribe", "unsubscribe"]);
  });

  it("yields earlier messages, then ends with the subscription", async () => {
    const { client, clock, server } = await connected();
    const subscription = client.subscribe("room:a");
    const messages = subscription[Symbol.asyncIterator]();
    await clock.pass(10);
    server.publish("room:a", 1);
    await clock.pass(10);
    subscription.unsubscribe();
    expect(await messages.next()).toMatchObject({ value: { data: 1 } });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    expect(await subscription[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
  });

  it("ends for reads that wait, and for later ones, when the loop is left", async () => {
    const { client } = await connected();
    const messages = client.subscribe("room:a")[Symbol.asyncIterator]();
    const waiting = messages.next();
    await messages.return!();
    expect(await Promise.all([waiting, messages.next()])).toEqual(Array(2).fill({ done: true }));
  });

  it("throws the error that refuses the channel", async () => {
    const { client, clock, errors } = await connected();
    const next = client.subscribe("secret:a")[Symbol.asyncIterator]().next();
    const refused = expect(next).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(10);
    await refused;
    expect(errors).toEqual([]);
  });

  it("throws after its buffered messages when the buffer is full", async () => {
    const { client, clock, server } = await connected();
    const messages = client.subscribe("room:a", { bufferSize: 2 })[Symbol.asyncIterator]();
    await clock.pass(10);
    for (const data of [1, 2, 3, 4]) server.publish("room:a", data);
    await clock.pass(10);
    const read = [await messages.next(), await messages.next()];
    expect(read.map(({ value }) => value?.data)).toEqual([1, 2]);
    await expect(messages.next()).rejects.toMatchObject({ code: "BUFFER_FULL" });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });

  it("throws a loss that no listener handles", async () => {
    const { client, clock, server } = await connected();
    const caught = (async () => {
      for await (const _ of client.subscribe("room:a"));
    })().catch((error: ClientError) => error);
    await clock.pass(10);
    server.loseHistory("room:a");
    server.opened[0]!.cut();
    await clock.pass(5_000);
    expect(await caught).toMatchObject({ code: "HISTORY_LOST", position: { epoch: "e1x", offset: 0 } });
  });
});

it("reports a listener's error as uncaught, and continues", async () => {
  const all = await connected();
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => uncaught.push(error));
  const failure = new Error("the application's");
  all.client.subscribe("room:a", {
    onMessage: () => {
      throw failure;
    },
  });
  const { calls } = listen(all, "room:a");
  await all.clock.pass(10);
  publish(all, "room:a", 1);
  await all.clock.pass(10);
  for (const listener of listeners) process.on("uncaughtException", listener);
  expect([calls, uncaught]).toEqual([[1], [failure]]);
});
