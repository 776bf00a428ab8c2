import { describe, expect, it } from "vitest";
import type { ChannelMessage, Position } from "../../protocol/index.ts";
import { isReached, isSamePosition, MessageOrder } from "./message-order.ts";

const at = (offset: number, epoch = "e1"): Position => ({ epoch, offset });

const message = (offset: number, epoch?: string): ChannelMessage => ({
  type: "message",
  id: `m${offset}`,
  channel: "room:a",
  data: offset,
  at: 0,
  position: at(offset, epoch),
});

/** An order after a response with this head, or before any. It records what it delivers and loses. */
function ordered(head: Position | null = at(0)) {
  const delivered: unknown[] = [];
  const lost: Position[] = [];
  const order = new MessageOrder({
    deliver: ({ data }) => delivered.push(data),
    lost: (position) => lost.push(position),
  });
  if (head !== null) order.apply(undefined, { position: head });
  return { order, delivered, lost };
}

describe("messages that arrive", () => {
  it("are delivered in order, each once", () => {
    const { order, delivered } = ordered();
    for (const offset of [2, 1, 1, 3, 2]) order.add(message(offset));
    expect([delivered, order.position, order.hasGap]).toEqual([[1, 2, 3], at(3), false]);
  });

  it("wait for a missing one, which is a gap", () => {
    const { order, delivered } = ordered();
    order.add(message(2));
    expect([delivered, order.hasGap]).toEqual([[], true]);
    order.add(message(1));
    expect([delivered, order.hasGap]).toEqual([[1, 2], false]);
  });

  it("wait for the first response, and are no gap before", () => {
    const { order, delivered } = ordered(null);
    order.add(message(2));
    order.add(message(1));
    expect([delivered, order.position, order.hasGap]).toEqual([[], undefined, false]);
    order.apply(undefined, { position: at(1) });
    expect([delivered, order.position, order.hasGap]).toEqual([[2], at(2), false]);
  });

  it("are ignored without a position", () => {
    const { order, delivered } = ordered();
    const { position: _, ...rest } = message(1);
    order.add(rest);
    expect([delivered, order.hasGap]).toEqual([[], false]);
  });

  it("are not delivered from another epoch, and are a gap", () => {
    const { order, delivered } = ordered();
    order.add(message(1, "e2"));
    expect([delivered, order.hasGap]).toEqual([[], true]);
  });

  it("are dropped behind 1,000 waiting ones, except the next one", () => {
    const { order, delivered } = ordered();
    for (let offset = 2; offset <= 1_002; offset++) order.add(message(offset));
    order.add(message(1));
    // Message 1,002 was dropped.
    expect([delivered.length, order.position, order.hasGap]).toEqual([1_001, at(1_001), true]);
  });
});

describe("a message for several offsets", () => {
  const merged = (from: number, to: number): ChannelMessage => ({ ...message(to), from });

  it("is delivered after its predecessor, in place of the waiting ones among them", () => {
    const { order, delivered } = ordered();
    for (const offset of [3, 4, 6]) order.add(message(offset));
    order.add(merged(2, 5));
    expect(delivered).toEqual([]);
    order.add(message(1));
    expect([delivered, order.position, order.hasGap]).toEqual([[1, 5, 6], at(6), false]);
  });

  it("makes room for 1,000 waiting ones in place of those that it replaces", () => {
    const { order, delivered } = ordered();
    for (let offset = 3; offset <= 1_001; offset++) order.add(message(offset));
    order.add(merged(2, 1_001));
    order.add(message(1));
    expect(delivered).toEqual([1, 1_001]);
    for (let offset = 1_003; offset <= 2_002; offset++) order.add(message(offset));
    order.add(message(1_002));
    expect([order.position, order.hasGap]).toEqual([at(2_002), false]);
  });

  it("is a gap when it repeats delivered ones", () => {
    const { order, delivered } = ordered(at(2));
    order.add(merged(2, 4));
    expect([delivered, order.position, order.hasGap]).toEqual([[], at(2), true]);
    order.add(merged(3, 4));
    expect([delivered, order.position]).toEqual([[4], at(4)]);
  });

  it("is delivered as the first of the first response", () => {
    const { order, delivered } = ordered(null);
    order.apply(undefined, { position: at(5), messages: [merged(2, 4), message(5)] });
    expect([delivered, order.position, order.hasGap]).toEqual([[4, 5], at(5), false]);
  });

  it("leaves a gap when the first response ends inside it", () => {
    const { order, delivered } = ordered(null);
    order.add(merged(3, 8));
    order.apply(undefined, { position: at(5) });
    expect([delivered, order.position, order.hasGap]).toEqual([[], at(5), true]);
    order.apply(order.startFetch(), { position: at(8), messages: [merged(6, 8)] });
    expect([delivered, order.position, order.hasGap]).toEqual([[8], at(8), false]);
  });

  it("leaves no gap when the first response ends at or after its end", () => {
    for (const offset of [8, 9]) {
      const { order, delivered } = ordered(null);
      order.add(merged(3, 8));
      order.apply(undefined, { position: at(offset) });
      expect([delivered, order.position, order.hasGap]).toEqual([[], at(offset), false]);
    }
  });
});

describe("the head of the channel", () => {
  it("is a gap when it is after the position", () => {
    const { order } = ordered(at(3));
    order.observeHead(at(3));
    expect(order.hasGap).toBe(false);
    order.observeHead(at(4));
    expect(order.hasGap).toBe(true);
    order.add(message(4));
    expect(order.hasGap).toBe(false);
    order.observeHead(at(3));
    expect(order.hasGap).toBe(true);
  });

  it("is a gap in another epoch", () => {
    const { order } = ordered(at(3));
    order.observeHead(at(3, "e2"));
    expect(order.hasGap).toBe(true);
  });

  it("is ignored before the first response", () => {
    const { order } = ordered(null);
    order.observeHead(at(3));
    order.apply(undefined, { position: at(1) });
    expect(order.hasGap).toBe(false);
  });
});

describe("a response", () => {
  it("without a position changes nothing", () => {
    const { order, delivered } = ordered(null);
    order.apply(undefined, { messages: [message(1)] });
    expect([delivered, order.position]).toEqual([[], undefined]);
  });

  it("starts the channel before its first message", () => {
    const { order, delivered, lost } = ordered(null);
    order.apply(undefined, { position: at(5), messages: [message(4), message(5)] });
    expect([delivered, order.position, order.hasGap, lost]).toEqual([[4, 5], at(5), false, []]);
  });

  it("keeps a gap up to the head that it reports", () => {
    const { order, delivered } = ordered();
    order.apply(order.startFetch(), { position: at(3), recovered: true, messages: [message(1)] });
    expect([delivered, order.hasGap]).toEqual([[1], true]);
  });

  it("that is not whole skips to its head, and reports the loss", () => {
    const { order, delivered, lost } = ordered();
    order.add(message(8));
    order.add(message(5));
    order.apply(order.startFetch(), { position: at(7), recovered: false });
    expect([lost, delivered, order.position, order.hasGap]).toEqual([[at(7)], [8], at(8), true]);
  });

  it("that is not whole loses nothing after another position than the current one", () => {
    const { order, lost } = ordered();
    const from = order.startFetch();
    order.add(message(1));
    order.apply(from, { position: at(7), recovered: false });
    expect([lost, order.position, order.hasGap]).toEqual([[], at(1), true]);
  });

  it("drops waiting messages of the old epoch", () => {
    const { order, delivered, lost } = ordered();
    order.add(message(2));
    order.apply(order.startFetch(), { position: at(1, "e2"), recovered: false });
    order.add(message(2, "e2"));
    expect([lost, delivered, order.position]).toEqual([[at(1, "e2")], [2], at(2, "e2")]);
    order.apply(order.startFetch(), { position: at(2, "e2"), recovered: true });
    expect(order.hasGap).toBe(false);
  });

  it("of another epoch is a gap", () => {
    const { order } = ordered(at(3));
    order.apply(order.startFetch(), { position: at(3, "e2"), recovered: true });
    expect(order.hasGap).toBe(true);
  });
});

describe("a gap", () => {
  it("is assumed after a failed request, until the next one", () => {
    const { order } = ordered(at(3));
    order.markStale();
    expect(order.hasGap).toBe(true);
    expect(order.startFetch()).toEqual(at(3));
    expect(order.hasGap).toBe(false);
  });

  it("that is skipped does not wait any more", () => {
    const { order, delivered } = ordered();
    order.add(message(2));
    order.markStale();
    order.skipGap();
    expect(order.hasGap).toBe(false);
    order.add(message(1));
    expect(delivered).toEqual([1]);
  });
});

it.each([
  [at(1), at(1), true],
  [at(1), at(2), false],
  [at(1), at(1, "e2"), false],
  [undefined, undefined, true],
  [at(1), undefined, false],
  [undefined, at(1), false],
])("compares the positions %j and %j", (one, other, expected) => {
  expect(isSamePosition(one, other)).toBe(expected);
});

it.each([
  [at(1), at(1), true],
  [at(1), at(2), true],
  [at(2), at(1), false],
  [at(1), at(2, "e2"), false],
  [undefined, at(1), false],
  [at(1), undefined, false],
  [undefined, undefined, false],
])("tells whether %j is reached at %j", (one, than, expected) => {
  expect(isReached(one, than)).toBe(expected);
});
