import { describe, expect, it } from "vitest";
import { LiveStreamState } from "./live-stream-state.ts";

const live = (since: number, viewers = 0) => ({ user: "ada", since, viewers });
const head = { id: "x", channel: "stream:a" };
const started = (at: number) => ({ ...head, type: "stream_started" as const, at, live: live(at) });
const ended = (at: number) => ({
  ...head,
  type: "stream_ended" as const,
  at,
  user: "ada",
  reason: "ended" as const,
});
const viewers = (at: number, count: number) => ({ ...head, type: "viewers" as const, at, count });

describe("a message", () => {
  it("starts, counts and ends the stream, and emits a change", () => {
    const state = new LiveStreamState();
    let changes = 0;
    state.changes.on(() => changes++);
    state.apply(started(1));
    state.apply(viewers(2, 5));
    expect(state.stream).toEqual(live(1, 5));
    state.apply(ended(3));
    expect([state.stream, state.endReason, changes]).toEqual([undefined, "ended", 3]);
  });

  it("that is older than the last of its kind changes nothing", () => {
    const state = new LiveStreamState();
    state.apply(started(5));
    state.apply(ended(4));
    state.apply(viewers(7, 2));
    state.apply(viewers(6, 3));
    expect([state.stream, state.endReason]).toEqual([live(5, 2), undefined]);
  });

  it("of the same time replaces the last one", () => {
    const state = new LiveStreamState();
    state.apply(started(5));
    state.apply(viewers(5, 2));
    state.apply(viewers(5, 3));
    expect(state.stream).toEqual(live(5, 3));
    state.apply(ended(5));
    expect(state.stream).toBeUndefined();
  });

  it("with a count starts no stream", () => {
    const state = new LiveStreamState();
    state.apply(viewers(1, 2));
    expect(state.stream).toBeUndefined();
  });
});

describe("a response", () => {
  it("sets the stream, and ends it without a reason", () => {
    const state = new LiveStreamState();
    state.startFetch()({ live: live(1, 4) });
    expect(state.stream).toEqual(live(1, 4));
    state.startFetch()({});
    expect([state.stream, state.endReason]).toEqual([undefined, undefined]);
  });

  it("keeps the reason of an end that it confirms, and forgets that of an earlier stream", () => {
    const state = new LiveStreamState();
    state.apply(started(1));
    state.apply(ended(2));
    state.startFetch()({});
    expect(state.endReason).toBe("ended");
    state.startFetch()({ live: live(3) });
    state.startFetch()({});
    expect(state.endReason).toBeUndefined();
  });

  it("is ignored once another request has started", () => {
    const state = new LiveStreamState();
    const first = state.startFetch();
    const second = state.startFetch();
    first({ live: live(1) });
    expect(state.stream).toBeUndefined();
    second({ live: live(2) });
    expect(state.stream).toEqual(live(2));
  });

  it("does not undo a message that has arrived meanwhile", () => {
    const state = new LiveStreamState();
    const apply = state.startFetch();
    state.apply(started(5));
    state.apply(viewers(6, 3));
    apply({});
    expect(state.stream).toEqual(live(5, 3));
  });

  it("with a later stream replaces such a message", () => {
    const state = new LiveStreamState();
    const apply = state.startFetch();
    state.apply(ended(5));
    apply({ live: live(6) });
    expect(state.stream).toEqual(live(6));
  });

  it("keeps a newer count, until the next request", () => {
    const state = new LiveStreamState();
    state.startFetch()({ live: live(1, 4) });
    const apply = state.startFetch();
    state.apply(viewers(2, 9));
    apply({ live: live(1, 4) });
    expect(state.stream).toEqual(live(1, 9));
    state.startFetch()({ live: live(1, 8) });
    expect(state.stream).toEqual(live(1, 8));
  });
});
