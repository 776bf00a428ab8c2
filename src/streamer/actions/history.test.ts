import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { LIMITS, utf8Length } from "../../protocol/index.ts";
import type { StoredMessage } from "../../store/index.ts";
import { toRecovery } from "./history-reader.ts";

const ROOM = "room:lobby";

async function room(published: number, options: Parameters<typeof simulateStreamer>[0] = {}) {
  const simulation = simulateStreamer(options);
  const ada = await simulation.client("ada-1", { user: "ada" });
  for (let n = 1; n <= published; n++) await simulation.streamer.publish(ROOM, n);
  const head = (await simulation.streamer.history(ROOM)).position;
  const ask = async (which: object = {}) => (await ada.ask("history", { channel: ROOM, ...which })).data;
  const data = (page: { messages: { data: unknown }[] }) => page.messages.map((message) => message.data);
  return { ...simulation, ada, ask, data, head };
}

describe("history", () => {
  it("returns the newest messages and pages in both directions", async () => {
    const { ask, data, head } = await room(5);
    const newest = await ask({ limit: 2 });
    expect([data(newest), newest.more, newest.position]).toEqual([[4, 5], true, head]);
    expect(newest).not.toHaveProperty("recovered");
    const before = await ask({ before: 4, limit: 2 });
    expect([data(before), before.more]).toEqual([[2, 3], true]);
    const first = await ask({ before: 2 });
    expect([data(first), first.more]).toEqual([[1], false]);
    const after = await ask({ after: { ...head, offset: 1 }, limit: 3 });
    expect([data(after), after.more, after.recovered]).toEqual([[2, 3, 4], true, true]);
    const rest = await ask({ after: { ...head, offset: 4 } });
    expect([data(rest), rest.more, rest.recovered]).toEqual([[5], false, true]);
  });

  it.each([
    ["another epoch", { epoch: "another" }],
    ["the future", { offset: 6 }],
  ])("recovers nothing from a position of %s", async (_what, wrong) => {
    const { ask, head } = await room(5);
    const answer = { messages: [], position: head, recovered: false, more: false };
    expect(await ask({ after: { ...head, ...wrong } })).toEqual(answer);
  });

  it("fits the newest messages, or the first after a position, into one frame", async () => {
    const { ada, ask, streamer, connections } = await room(0, {
      channels: { room: { ...OPEN, maxBytes: 60_000 } },
    });
    for (const n of [1, 2, 3, 4]) await streamer.publish(ROOM, { n, pad: "é".repeat(20_000) });
    const numbers = (page: { messages: { data: { n: number } }[] }) =>
      page.messages.map(({ data }) => data.n);
    const newest = await ask();
    expect([numbers(newest), newest.more]).toEqual([[2, 3, 4], true]);
    const first = await ask({ after: { ...newest.position, offset: 0 } });
    expect([numbers(first), first.more, first.recovered]).toEqual([[1, 2, 3], true, true]);
    for (const frame of connections.sentTo(ada.connectionId)) {
      expect(utf8Length(frame)).toBeLessThanOrEqual(LIMITS.messageBytes);
    }
  });

  it("requires the right to subscribe at the time of the call", async () => {
    let open = true;
    const { ada } = await room(1, { channels: { room: { subscribe: () => open, presence: true } } });
    const codes = async () =>
      Promise.all([
        ada.ask("history", { channel: ROOM }).then(({ error }) => error?.code),
        ada.ask("presence", { channel: ROOM }).then(({ error }) => error?.code),
      ]);
    expect(await codes()).toEqual([undefined, undefined]);
    open = false;
    expect(await codes()).toEqual(["FORBIDDEN", "FORBIDDEN"]);
  });

  it("is not available in an at-most-once channel", async () => {
    const { ada, streamer } = await room(0);
    const code = "NOT_FOUND";
    expect(await ada.ask("history", { channel: "flash:a" })).toMatchObject({ error: { code } });
    await expect(streamer.history("flash:a")).rejects.toMatchObject({ code });
  });
});

describe("heartbeat", () => {
  it("returns only the heads that differ from the client's positions", async () => {
    const { ada, head, streamer } = await room(3);
    const other = await streamer.publish("room:b", 1);
    const positions = {
      [ROOM]: { ...head, offset: 2 },
      "room:b": other.position!,
      "flash:c": { epoch: "e", offset: 1 },
    };
    expect((await ada.ask("heartbeat", { positions })).data).toEqual({ heads: { [ROOM]: head } });
    expect((await ada.ask("heartbeat", {})).data).toEqual({ heads: {} });
    const lost = { [ROOM]: { ...head, epoch: "another" } };
    expect((await ada.ask("heartbeat", { positions: lost })).data).toEqual({ heads: { [ROOM]: head } });
  });

  it("reveals nothing about a channel that the client may not subscribe to", async () => {
    const { ada } = await room(1, {
      channels: { room: { publish: () => true }, secret: { subscribe: async () => false } },
    });
    const position = { epoch: "e", offset: 0 };
    const positions = { [ROOM]: position, "secret:a": position, "nowhere:a": position };
    expect((await ada.ask("heartbeat", { positions })).data).toEqual({ heads: {} });
  });
});

describe("toRecovery", () => {
  const message = (offset: number): StoredMessage => ({ id: String(offset), data: null, at: 0, offset });
  const range = (from: number, to: number) =>
    Array.from({ length: Math.max(to - from + 1, 0) }, (_, n) => message(from + n));

  it("recovers exactly when the messages after the position are complete", () => {
    const natural = fc.nat(30);
    fc.assert(
      fc.property(
        natural,
        natural,
        natural,
        fc.integer({ min: 1, max: 10 }),
        fc.boolean(),
        (head, kept, offset, limit, other) => {
          const first = Math.max(head - kept + 1, 1);
          const messages = range(Math.max(first, offset + 1), head).slice(0, limit);
          const page = {
            head: { epoch: "e", offset: head },
            messages,
            more: (messages.at(-1)?.offset ?? head) < head,
          };
          const position = { epoch: other ? "f" : "e", offset };
          const found = toRecovery(page, position, true)!;
          expect(found.recovered).toBe(!other && offset <= head && (offset === head || offset + 1 >= first));
          expect(found.position).toEqual(page.head);
          if (!found.recovered) expect(found.messages).toEqual([]);
        },
      ),
    );
  });

  it("is undecided when the head may be newer than the page", () => {
    const page = { head: { epoch: "e", offset: 3 }, messages: [], more: false };
    expect(toRecovery(page, { epoch: "e", offset: 2 }, false)).toBeUndefined();
    expect(toRecovery(page, { epoch: "e", offset: 2 }, true)).toMatchObject({ recovered: false });
  });
});
