import { describe, expect, it } from "vitest";
import { connected, setup } from "../../../test/client/setup.ts";
import type { LiveStream, StreamMessage } from "../../protocol/index.ts";
import { LiveStreamState } from "./live-stream-state.ts";

const SHOW = "show:ada";
const URL = "ws://model/?user=ada";

describe("a live stream", () => {
  it("is started, watched and ended", async () => {
    const { client, server, clock } = await connected({ url: URL });
    const stream = client.stream(SHOW);
    const seen: unknown[] = [];
    stream.onChange(({ live, endReason }) => seen.push(live?.data ?? endReason));
    await clock.pass(10);
    await stream.ready;
    expect(stream.live).toBeUndefined();
    const started = stream.start({ title: "Bread" });
    await clock.pass(10);
    await started;
    expect(stream.live).toMatchObject({ user: "ada", viewers: 1, data: { title: "Bread" } });
    server.sendStreamMessage(SHOW, { type: "viewers", count: 7 });
    await clock.pass(10);
    expect(stream.live).toMatchObject({ viewers: 7, data: { title: "Bread" } });
    const ended = stream.end();
    await clock.pass(10);
    await ended;
    expect([stream.live, stream.endReason]).toEqual([undefined, "ended"]);
    expect(seen).toEqual([undefined, { title: "Bread" }, { title: "Bread" }, "ended"]);
  });

  it("is known to later subscribers, and correct again after a lost connection", async () => {
    const { client, server, clock } = await connected();
    const live: LiveStream = { user: "ada", since: 1, viewers: 3 };
    server.streams.set(SHOW, live);
    const stream = client.stream(SHOW);
    await clock.pass(10);
    expect(stream.live).toEqual(live);
    server.streams.delete(SHOW);
    for (const socket of server.sockets) socket.cut();
    await clock.pass(1_000);
    expect([client.state.status, stream.live]).toEqual(["connected", undefined]);
  });

  it("has ended when a start that the client saw was followed by an end without a connection", async () => {
    const { client, server, clock } = await connected();
    const stream = client.stream(SHOW);
    await clock.pass(10);
    server.sendStreamMessage(SHOW, { type: "stream_started", live: { user: "ada", since: 5, viewers: 1 } });
    await clock.pass(10);
    expect(stream.live).toMatchObject({ user: "ada" });
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect([client.state.status, stream.live]).toEqual(["connected", undefined]);
  });

  it("is correct again with the next heartbeat after a lost start or end", async () => {
    const { client, server, clock } = await connected({ heartbeatMs: 10_000 });
    const stream = client.stream(SHOW);
    await clock.pass(10);
    const live: LiveStream = { user: "ada", since: 1, viewers: 3 };
    server.streams.set(SHOW, live);
    await clock.pass(10_000);
    expect(stream.live).toEqual(live);
    server.streams.delete(SHOW);
    await clock.pass(10_000);
    expect(stream.live).toBeUndefined();
    stream.close();
    client.subscribe(SHOW);
    const asked = server.actions.filter((action) => action === "stream").length;
    await clock.pass(30_000);
    expect(server.actions.filter((action) => action === "stream")).toHaveLength(asked);
  });

  it("starts once the client is connected", async () => {
    const { client, server, clock } = setup({ url: URL });
    const stream = client.stream(SHOW);
    client.connect();
    const started = stream.start();
    await clock.pass(10);
    await started;
    expect(server.streams.get(SHOW)).toMatchObject({ user: "ada" });
  });

  it("continues without watchers, and notifies none", async () => {
    const { client, server, clock } = await connected({ url: URL });
    const stream = client.stream(SHOW);
    const started = stream.start();
    await clock.pass(10);
    await started;
    let changes = 0;
    stream.onChange(() => changes++);
    const subscription = client.subscribe(SHOW);
    stream.close();
    server.sendStreamMessage(SHOW, { type: "viewers", count: 2 });
    await clock.pass(10);
    expect([changes, server.streams.size]).toEqual([0, 1]);
    subscription.unsubscribe();
    await clock.pass(10);
    expect(server.actions.at(-1)).toBe("unsubscribe");
  });

  it("notifies several watchers, and starts afresh after the channel was left", async () => {
    const { client, server, clock } = await connected();
    const [one, two] = [client.stream(SHOW), client.stream(SHOW)];
    await clock.pass(10);
    server.sendStreamMessage(SHOW, { type: "stream_started", live: { user: "ada", since: 5, viewers: 1 } });
    await clock.pass(10);
    expect([one.live?.user, two.live?.user]).toEqual(["ada", "ada"]);
    one.close();
    two.close();
    await clock.pass(10);
    const three = client.stream(SHOW);
    await clock.pass(10);
    expect(three.live).toBeUndefined();
  });

  it("notifies once of a message that arrives twice", async () => {
    const { client, server, clock } = await connected();
    const stream = client.stream(SHOW);
    await clock.pass(10);
    const seen: unknown[] = [];
    stream.onChange(({ live }) => seen.push(live?.user));
    server.faults.duplicate = 1;
    server.sendStreamMessage(SHOW, { type: "stream_started", live: { user: "ada", since: 5, viewers: 1 } });
    await clock.pass(10);
    expect(seen).toEqual(["ada"]);
  });

  it("rejects when the server refuses the channel", async () => {
    const { client, clock } = await connected();
    const stream = client.stream("secret:a");
    await clock.pass(10);
    await expect(stream.ready).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

describe("the state of a live stream", () => {
  const ada = (since: number): LiveStream => ({ user: "ada", since, viewers: 1 });
  const head = { id: "1", channel: SHOW };
  const started = (at: number): StreamMessage => ({ ...head, type: "stream_started", at, live: ada(at) });
  const ended = (at: number): StreamMessage => ({
    ...head,
    type: "stream_ended",
    at,
    user: "ada",
    reason: "ended",
  });
  const viewers = (at: number, count: number): StreamMessage => ({ ...head, type: "viewers", at, count });

  it("has no end reason of an earlier stream when a later one's start and end were missed", () => {
    const state = new LiveStreamState();
    state.apply(started(1));
    state.apply(ended(2));
    expect(state.endReason).toBe("ended");
    state.startFetch()({});
    expect(state.endReason).toBe("ended");
    state.startFetch()({ live: ada(3) });
    state.startFetch()({});
    expect([state.stream, state.endReason]).toEqual([undefined, undefined]);
  });

  it.each([
    ["an end that arrives before its start", [started(20), ended(10)], ada(20)],
    ["a start that arrives after its end", [ended(20), started(10)], undefined],
    ["an end in the millisecond of its start", [started(10), ended(10)], undefined],
    ["a late count", [started(10), viewers(30, 5), viewers(20, 9)], { ...ada(10), viewers: 5 }],
    ["a count of an ended stream", [started(10), ended(20), viewers(30, 5)], undefined],
    ["an end before an earlier count", [started(10), viewers(30, 5), ended(20)], undefined],
  ])("is not misled by %s", (_what, messages, known) => {
    const live = new LiveStreamState();
    live.startFetch()({});
    for (const message of messages) live.apply(message);
    expect(live.stream).toEqual(known);
  });

  it.each([
    ["a response from before an end", [ended(20)], ada(10), undefined],
    ["a response from before a start", [started(20)], undefined, ada(20)],
    ["an end from before the stream in the response", [ended(10)], ada(20), ada(20)],
    ["a count from before a response", [viewers(30, 5)], ada(10), { ...ada(10), viewers: 5 }],
  ])("is not misled by %s during a request", (_what, messages, answer, known) => {
    const live = new LiveStreamState();
    live.apply(viewers(1, 99));
    const answered = live.startFetch();
    for (const message of messages) live.apply(message);
    answered(answer === undefined ? {} : { live: answer });
    expect(live.stream).toEqual(known);
  });

  it("is the response to the last request, in whatever order responses arrive", () => {
    const live = new LiveStreamState();
    const [first, second] = [live.startFetch(), live.startFetch()];
    second({ live: ada(20) });
    first({});
    expect(live.stream).toEqual(ada(20));
  });
});
