// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { connected, setup } from "../../test/client/setup.ts";
import { type MountOptions, mount } from "../../test/react/mount.ts";
import type { HistoryResult } from "../client/index.ts";
import { type ChannelOptions, type ChannelState, useChannel, useMembers } from "./index.ts";

interface Props extends ChannelOptions {
  readonly channel: string;
}

const mountChannel = (props: Props, options?: MountOptions) =>
  mount(({ channel, ...rest }: Props) => useChannel(channel, rest), props, options);

function seen({ status, messages, hasMore }: ChannelState): unknown[] {
  return [status, messages.map(({ data }) => data), hasMore];
}

/** A channel that has them, mounted when the server has answered. */
async function mounted(data: readonly number[], props: Props, options: MountOptions = {}) {
  const all = options.setup ?? (await connected());
  for (const one of data) all.server.publish(props.channel, one);
  const shown = await mountChannel(props, { ...options, setup: all });
  await shown.pass(10);
  return shown;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

describe("useChannel", () => {
  it("is loading, then live with recent messages, then with new ones", async () => {
    const shown = await mounted([1, 2, 3], { channel: "room:a", recent: 2 });
    await shown.does(() => shown.server.publish("room:a", 4));
    await shown.pass(10);
    const different = shown.renders.filter((render, at, all) => render !== all[at - 1]);
    expect(different.map(seen)).toEqual([
      ["loading", [], false],
      ["live", [2, 3], true],
      ["live", [2, 3, 4], true],
    ]);
  });

  it.each([true, false])(
    "subscribes once, and once less when it is unmounted (strict: %s)",
    async (strict) => {
      const shown = await mounted([1], { channel: "room:a", recent: 5 }, { strict });
      expect(shown.server.actions).toEqual(["subscribe"]);
      expect(seen(shown.now)).toEqual(["live", [1], false]);
      await shown.unmount();
      await shown.pass(10);
      expect(shown.server.actions).toEqual(["subscribe", "unsubscribe"]);
    },
  );

  it("works before the client is connected", async () => {
    const all = setup();
    const shown = await mounted([1], { channel: "room:a", recent: 5 }, { setup: all });
    expect(seen(shown.now)).toEqual(["loading", [], false]);
    await shown.does(() => all.client.connect());
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [1], false]);
  });

  it("returns the same object until something changes, and always the same functions", async () => {
    const shown = await mounted([1], { channel: "room:a", recent: 5 });
    const before = shown.now;
    await shown.render({ channel: "room:a", recent: 5 });
    expect(shown.now).toBe(before);
    await shown.does(() => shown.server.publish("room:a", 2));
    await shown.pass(10);
    const { publish, loadMore, reload } = before;
    expect(shown.now).not.toBe(before);
    expect(shown.now).toMatchObject({ publish, loadMore, reload });
  });

  it("renders once for messages that arrive together", async () => {
    const shown = await mounted(numbers(1, 50), { channel: "room:a", recent: 50 }, { strict: false });
    expect(shown.renders).toHaveLength(2);
  });

  it("shows no messages of the previous channel", async () => {
    const shown = await mounted([1], { channel: "room:a", recent: 5 });
    shown.server.publish("room:b", "b");
    const before = shown.renders.length;
    await shown.render({ channel: "room:b", recent: 5 });
    shown.server.publish("room:a", 2);
    await shown.pass(10);
    const after = shown.renders.slice(before).map((render) => JSON.stringify(seen(render)));
    expect([...new Set(after)]).toEqual(['["loading",[],false]', '["live",["b"],false]']);
    expect(shown.server.channel("room:a").messages).toHaveLength(2);
    const [socket] = shown.server.sockets;
    expect([...socket!.channels]).toEqual(["room:b"]);
  });

  it("reloads when options change", async () => {
    const shown = await mounted([1, 2, 3], { channel: "room:a", recent: 1 });
    await shown.render({ channel: "room:a", recent: 2 });
    expect(seen(shown.now)).toEqual(["loading", [], false]);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [2, 3], true]);
  });

  it("gives each of two components its own messages, and the second none before its history", async () => {
    const shown = await mount(
      () => [useMembers("room:a"), useChannel("room:a", { recent: 2 }), useChannel("room:a")] as const,
      undefined,
      { strict: false },
    );
    for (const one of [1, 2, 3]) shown.server.publish("room:a", one);
    await shown.pass(10);
    shown.server.publish("room:a", 4);
    await shown.pass(10);
    const [, second, third] = shown.now;
    expect([seen(second), seen(third)]).toEqual([
      ["live", [2, 3, 4], true],
      ["live", [4], true],
    ]);
    const early = shown.renders.filter(
      ([, { status, messages }]) => status === "live" && messages.length < 2,
    );
    expect(early).toEqual([]);
  });

  it("neither loses nor duplicates messages when the connection is cut", async () => {
    const shown = await mounted([1], { channel: "room:a", recent: 5 });
    await shown.does(() => {
      for (const socket of shown.server.sockets) socket.cut();
      shown.server.publish("room:a", 2);
    });
    await shown.pass(1_000);
    shown.server.publish("room:a", 3);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [1, 2, 3], false]);
  });

  it("reports lost messages, continues, and starts afresh on reload", async () => {
    const shown = await mounted([1], { channel: "room:a", recent: 5 });
    await shown.does(() => {
      for (const socket of shown.server.sockets) socket.cut();
      for (const one of [2, 3, 4, 5]) shown.server.publish("room:a", one);
      shown.server.trim("room:a", 2);
    });
    await shown.pass(1_000);
    shown.server.publish("room:a", 6);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["lost", [1, 6], false]);
    expect(shown.now.error).toMatchObject({ code: "HISTORY_LOST", position: { epoch: "e1", offset: 5 } });
    await shown.does(() => shown.now.reload());
    expect(seen(shown.now)).toEqual(["loading", [], false]);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [4, 5, 6], false]);
    expect([shown.now.error, shown.errors]).toEqual([undefined, []]);
  });

  it("reports lost messages while loading", async () => {
    const all = await connected();
    all.server.publish("room:a", 1);
    all.client.subscribe("room:a", { onLost: () => {} });
    await all.clock.pass(10);
    const shown = await mountChannel({ channel: "room:a", recent: 1 }, { setup: all });
    await shown.does(() => {
      all.server.loseHistory("room:a");
      for (const socket of all.server.sockets) socket.cut();
    });
    await shown.pass(1_000);
    expect([...seen(shown.now), shown.now.error?.code]).toEqual(["lost", [], false, "HISTORY_LOST"]);
  });

  it("keeps its messages when it is refused later", async () => {
    const shown = await mounted([1, 2], { channel: "room:a", recent: 1 });
    shown.server.intercept = ({ action }) => (action === "subscribe" ? "FORBIDDEN" : undefined);
    await shown.does(() => {
      for (const socket of shown.server.sockets) socket.cut();
    });
    await shown.pass(1_000);
    expect([...seen(shown.now), shown.now.error?.code]).toEqual(["refused", [2], false, "FORBIDDEN"]);
  });

  it("ignores a response to a request from before reload", async () => {
    const all = setup();
    for (const one of [1, 2]) all.server.publish("room:a", one);
    const first = all.client.subscribe("room:0");
    const shown = await mountChannel({ channel: "room:a", recent: 2 }, { setup: all });
    void first.ready.then(() => shown.now.reload());
    await shown.does(() => all.client.connect());
    await shown.pass(10);
    expect(shown.renders.map((render) => JSON.stringify(seen(render)))).not.toContain('["live",[],false]');
    expect(seen(shown.now)).toEqual(["live", [1, 2], true]);
  });

  it("leaves the channel while hidden, and starts afresh when shown", async () => {
    const shown = await mounted([1], { channel: "room:a", recent: 2 });
    await shown.hide(true);
    for (const one of [2, 3]) shown.server.publish("room:a", one);
    await shown.pass(10);
    expect(shown.server.actions).toEqual(["subscribe", "unsubscribe"]);
    const before = shown.renders.length;
    await shown.hide(false);
    expect(seen(shown.renders[before]!)).toEqual(["loading", [], false]);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [2, 3], true]);
  });

  it("reports why it is refused, and succeeds after reload", async () => {
    const shown = await mountChannel({ channel: "room:a" });
    let closed = true;
    shown.server.intercept = ({ action }) => (closed && action === "subscribe" ? "FORBIDDEN" : undefined);
    await shown.pass(10);
    expect([...seen(shown.now), shown.now.error?.code]).toEqual(["refused", [], false, "FORBIDDEN"]);
    closed = false;
    await shown.does(() => shown.now.reload());
    await shown.pass(10);
    expect([...seen(shown.now), shown.now.error]).toEqual(["live", [], true, undefined]);
    expect(shown.errors).toEqual([]);
  });

  it.each<[Props, string]>([
    [{ channel: "lobby" }, "INVALID_CHANNEL"],
    [{ channel: "room:a", recent: 101 }, "INVALID_OPTION"],
    [{ channel: "room:a", maxMessages: 0 }, "INVALID_OPTION"],
    [{ channel: "room:a", maxMessages: 1.5 }, "INVALID_OPTION"],
  ])("refuses %j: %s", async (props, code) => {
    const shown = await mountChannel(props);
    await shown.pass(10);
    expect([shown.now.status, shown.now.error?.code, shown.server.actions]).toEqual(["refused", code, []]);
  });

  it("publishes", async () => {
    const shown = await mounted([], { channel: "room:a" });
    let result: unknown;
    await shown.does(() => {
      void shown.now.publish({ text: "hello" }, { key: "k" }).then((stored) => {
        result = stored;
      });
    });
    await shown.pass(10);
    expect(result).toEqual({ id: "m1", position: { epoch: "e1", offset: 1 } });
    expect(seen(shown.now)).toEqual(["live", [{ text: "hello" }], true]);
    expect(shown.server.channel("room:a").keys.has("k")).toBe(true);
  });
});

describe("maxMessages", () => {
  it("keeps the newest", async () => {
    const shown = await mounted([1, 2, 3], { channel: "room:a", recent: 3, maxMessages: 3 });
    shown.server.publish("room:a", 4);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [2, 3, 4], true]);
  });

  it("keeps the newest of the first messages", async () => {
    const shown = await mounted([1, 2, 3], { channel: "room:a", recent: 5, maxMessages: 2 });
    expect(seen(shown.now)).toEqual(["live", [2, 3], true]);
  });

  it("makes room for the messages of loadMore only", async () => {
    const shown = await mounted(numbers(1, 4), { channel: "room:a", recent: 2, maxMessages: 2 });
    await shown.does(() => void shown.now.loadMore());
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [1, 2, 3, 4], false]);
    shown.server.publish("room:a", 5);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [2, 3, 4, 5], true]);
    await shown.does(() => shown.now.reload());
    await shown.pass(10);
    shown.server.publish("room:a", 6);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [5, 6], true]);
  });
});

describe("loadMore", () => {
  it("adds pages of history before the first message", async () => {
    const all = await connected();
    all.server.pageSize = 3;
    const shown = await mounted(numbers(1, 8), { channel: "room:a", recent: 2 }, { setup: all });
    const loaded: unknown[] = [];
    for (let page = 0; page < 3; page++) {
      await shown.does(() => void shown.now.loadMore());
      await shown.pass(10);
      loaded.push(seen(shown.now));
    }
    expect(loaded).toEqual([
      ["live", numbers(4, 8), true],
      ["live", numbers(1, 8), false],
      ["live", numbers(1, 8), false],
    ]);
    expect(shown.server.actions.filter((action) => action === "history")).toHaveLength(2);
  });

  it("sends one request for two calls", async () => {
    const shown = await mounted(numbers(1, 4), { channel: "room:a", recent: 2 });
    await shown.does(() => {
      expect(shown.now.loadMore()).toBe(shown.now.loadMore());
    });
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", numbers(1, 4), false]);
  });

  it("duplicates no message that arrives meanwhile, and leaves no gap where messages are dropped", async () => {
    const shown = await mounted(numbers(1, 4), { channel: "room:a", recent: 2, maxMessages: 2 });
    await shown.does(() => {
      void shown.now.loadMore();
      for (const one of [5, 6]) shown.server.publish("room:a", one);
    });
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", numbers(1, 6), false]);
  });

  it.each([
    [1, 20],
    [20, 1],
  ])(
    "loads the newest messages when there are none, in any order: history after %s ms, messages after %s",
    async (history, messages) => {
      const shown = await mounted(numbers(1, 3), { channel: "room:a" });
      const { faults } = shown.server;
      shown.server.intercept = ({ action }) => {
        if (action !== "history") return undefined;
        faults.latency = [messages, messages];
        shown.server.publish("room:a", 4);
        faults.latency = [history, history];
        return undefined;
      };
      await shown.does(() => void shown.now.loadMore());
      await shown.pass(50);
      expect(seen(shown.now)).toEqual(["live", [1, 2, 3, 4], false]);
      shown.server.publish("room:a", 5);
      await shown.pass(50);
      expect(seen(shown.now)).toEqual(["live", [1, 2, 3, 4, 5], false]);
    },
  );

  it("ignores messages of another epoch", async () => {
    const all = await connected();
    const shown = await mounted(numbers(1, 5), { channel: "room:a", recent: 2 }, { setup: all });
    await shown.does(() => {
      all.server.loseHistory("room:a");
      for (const one of numbers(11, 13)) all.server.publish("room:a", one);
    });
    await shown.pass(1_000);
    const before = shown.now.messages;
    all.server.pageSize = 2;
    await shown.does(() => void shown.now.loadMore());
    await shown.pass(10);
    expect(shown.now.messages).toEqual(before);
    expect([shown.now.status, shown.now.hasMore]).toEqual(["lost", false]);
  });

  it("rejects with the server's error, and can be retried", async () => {
    const shown = await mounted(numbers(1, 3), { channel: "room:a", recent: 2, maxMessages: 2 });
    let closed = true;
    shown.server.intercept = ({ action }) => (closed && action === "history" ? "FORBIDDEN" : undefined);
    const refused = expect(shown.now.loadMore()).rejects.toMatchObject({ code: "FORBIDDEN" });
    await shown.pass(10);
    await refused;
    shown.server.publish("room:a", 4);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [3, 4], true]);
    closed = false;
    await shown.does(() => void shown.now.loadMore());
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [1, 2, 3, 4], false]);
  });

  it("adds nothing to the next channel, and does not reject", async () => {
    const uncaught = vi.fn();
    process.on("unhandledRejection", uncaught);
    const shown = await mounted(numbers(1, 3), { channel: "room:a", recent: 1 });
    await shown.does(() => void shown.now.loadMore());
    await shown.does(() => shown.now.reload());
    await shown.does(() => void shown.now.loadMore());
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [3], true]);
    await shown.does(() => void shown.now.loadMore());
    const { loadMore } = shown.now;
    await shown.unmount();
    await loadMore();
    await shown.pass(10);
    process.off("unhandledRejection", uncaught);
    expect(uncaught).not.toHaveBeenCalled();
  });

  it("aborts its request, and adds no page, on reload", async () => {
    const all = await connected();
    const asked: (AbortSignal | undefined)[] = [];
    const pages: ((page: HistoryResult) => void)[] = [];
    vi.spyOn(all.client, "history").mockImplementation((_channel, { signal } = {}) => {
      asked.push(signal);
      return new Promise((resolve) => pages.push(resolve));
    });
    const shown = await mounted([1, 2], { channel: "room:a", recent: 1 }, { setup: all });
    await shown.does(() => void shown.now.loadMore());
    const { messages, head } = all.server.channel("room:a");
    await shown.does(() => {
      pages[0]?.({ messages: messages.slice(0, 1), position: head, more: true });
      shown.now.reload();
    });
    expect(asked.map((signal) => signal?.aborted)).toEqual([true]);
    await shown.pass(10);
    expect(seen(shown.now)).toEqual(["live", [2], true]);
    const early = shown.renders.filter(({ status, messages }) => status === "loading" && messages.length > 0);
    expect(early).toEqual([]);
  });
});
