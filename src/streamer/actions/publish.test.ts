import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { lambdaContext } from "../../lift/testing/index.ts";
import { MEMBERS_PER_PAGE } from "../../store/memory/channel-members.ts";

const ROOM = "room:lobby";
const FLASH = "flash:news";

async function room(options: Parameters<typeof simulateStreamer>[0] = {}) {
  const simulation = simulateStreamer(options);
  const ada = await simulation.client("ada-1", { user: "ada" });
  const bob = await simulation.client("bob-1", { user: "bob" });
  const channels = [{ channel: ROOM }, { channel: FLASH }];
  for (const client of [ada, bob]) await client.ask("subscribe", { channels });
  return { ...simulation, ada, bob };
}

const texts = (client: { pushed(type: "message"): { data: unknown }[] }) =>
  client.pushed("message").map(({ data }) => data);

describe("an at-least-once publication", () => {
  it("returns its position and reaches everyone, the publisher included", async () => {
    const { ada, bob } = await room();
    const { data } = await ada.ask("publish", { channel: ROOM, data: { text: "hi" } });
    expect(data).toEqual({ id: expect.any(String), position: { epoch: expect.any(String), offset: 1 } });
    const message = { type: "message", channel: ROOM, data: { text: "hi" }, at: START, user: "ada", ...data };
    expect(bob.pushed("message")).toEqual([message]);
    expect(ada.pushed("message")).toEqual([message]);
  });

  it("is stored once per key, and returns the first result again", async () => {
    const { ada, bob, advance } = await room();
    const publish = (data: string) => ada.ask("publish", { channel: ROOM, data, key: "k" });
    const first = await publish("1");
    expect((await publish("2")).data).toEqual(first.data);
    advance(5 * 60_000 + 1);
    expect((await publish("3")).data.position.offset).toBe(2);
    expect(texts(bob)).toEqual(["1", "3"]);
  });

  it("has a key scoped to its user, apart from other users and the server", async () => {
    const { ada, bob, client, streamer } = await room();
    const tab = await client("ada-2", { user: "ada" });
    const nobody = await client("nobody");
    const named = await client("null", { user: "null" });
    const publish = async (who: typeof ada) =>
      (await who.ask("publish", { channel: ROOM, data: 1, key: "k" })).data.position.offset;
    const offsets = [];
    for (const who of [ada, tab, bob, nobody, named, ada]) offsets.push(await publish(who));
    offsets.push((await streamer.publish(ROOM, 1, { key: "k", userId: "ada" })).position?.offset);
    offsets.push((await streamer.publish(ROOM, 1, { key: "k" })).position?.offset);
    expect(offsets).toEqual([1, 1, 2, 3, 4, 1, 5, 6]);
  });

  it("accepts a key of any characters", async () => {
    const { ada, store } = await room();
    const append = vi.spyOn(store.history, "append");
    const answer = await ada.ask("publish", { channel: ROOM, data: 1, key: "\u0000".repeat(128) });
    expect(answer.data.position.offset).toBe(1);
    expect(append.mock.calls[0]?.[1].key?.length).toBeLessThanOrEqual(512);
  });

  it("is stored before it is sent, and marked as delivered after", async () => {
    const { ada, store, now } = await room();
    const finish = vi.spyOn(store.history, "markDelivered");
    await ada.ask("publish", { channel: ROOM, data: 1 });
    expect(finish).toHaveBeenCalledExactlyOnceWith('[null,"room:lobby"]', 1, expect.anything());
    expect(await collect(store.history.listPendingFanOuts(now() + 1))).toEqual([]);
  });

  it("answers STORE_FAILED and sends nothing when it can't be stored", async () => {
    const { ada, bob, store, lines } = await room();
    vi.spyOn(store.history, "append").mockRejectedValue(new Error("disk full at /var/secret"));
    expect(await ada.ask("publish", { channel: ROOM, data: 1 })).toEqual({
      type: "error",
      request_id: expect.any(String),
      error: { code: "STORE_FAILED", message: "The store did not answer", retry: true },
    });
    expect(texts(bob)).toEqual([]);
    expect(lines.join()).toContain("disk full");
  });

  it("succeeds when the fan-out fails, which stays pending for resume", async () => {
    const { ada, bob, store, streamer, lines, now } = await room();
    const pages = vi.spyOn(store.members, "listMembers").mockImplementation(() => {
      throw new Error("throttled");
    });
    expect((await ada.ask("publish", { channel: ROOM, data: "late" })).data.position.offset).toBe(1);
    expect(ada.received().filter(({ type }) => type === "error")).toEqual([]);
    expect(lines.join()).toMatch(/A fan-out failed.*throttled/);
    pages.mockRestore();
    expect(await streamer.resume({ storedBefore: now() + 1 })).toBe(1);
    const { id } = (await streamer.history(ROOM)).messages[0]!;
    expect(bob.pushed("message")).toMatchObject([{ id, data: "late", user: "ada", position: { offset: 1 } }]);
    expect(await streamer.resume({ storedBefore: now() + 1 })).toBe(0);
  });

  it("reaches the other members when one fails", async () => {
    const { ada, bob, connections, store, now } = await room();
    connections.throttled("ada-1");
    await ada.send({ action: "publish", payload: { channel: ROOM, data: 1 } });
    expect(texts(bob)).toEqual([1]);
    expect(await collect(store.history.listPendingFanOuts(now() + 1))).toEqual([]);
  });
});

describe("an at-most-once publication", () => {
  it("has no position and is not stored", async () => {
    const { ada, bob, store } = await room();
    const append = vi.spyOn(store.history, "append");
    const { data } = await ada.ask("publish", { channel: FLASH, data: "now", key: "k" });
    expect(data).toEqual({ id: expect.any(String) });
    const message = { type: "message", id: data.id, channel: FLASH, data: "now", at: START, user: "ada" };
    expect(bob.pushed("message")).toEqual([message]);
    expect(append).not.toHaveBeenCalled();
  });

  it("has one ID per key across repeated sends and failures", async () => {
    const { ada, bob, store, client } = await room();
    const tab = await client("ada-2", { user: "ada" });
    const publish = (who = ada) => who.ask("publish", { channel: FLASH, data: 1, key: "k" });
    const pages = store.members.listMembers.bind(store.members);
    vi.spyOn(store.members, "listMembers").mockImplementationOnce(async function* (...args) {
      yield* pages(...args);
      throw new Error("throttled");
    });
    expect(await publish()).toMatchObject({ error: { code: "STORE_FAILED", retry: true } });
    const second = await publish();
    const third = await publish(tab);
    const ids = new Set(bob.pushed("message").map(({ id }) => id));
    expect([bob.pushed("message").length, ids]).toEqual([3, new Set([second.data.id])]);
    expect(third.data).toEqual(second.data);
  });

  it("has an ID that depends on the key, channel, user and tenant", async () => {
    const { ada, bob, client, streamer } = await room();
    const people = [
      bob,
      await client("nobody"),
      await client("null", { user: "null" }),
      await client("other", { user: "ada", tenant: "acme" }),
    ];
    const published = [
      ada.ask("publish", { channel: FLASH, data: 1, key: "k" }),
      ada.ask("publish", { channel: FLASH, data: 1, key: "k2" }),
      ada.ask("publish", { channel: "flash:other", data: 1, key: "k" }),
      ...people.map((who) => who.ask("publish", { channel: FLASH, data: 1, key: "k" })),
      streamer.publish(FLASH, 1, { key: "k" }),
      streamer.publish(FLASH, 1, { key: "k", userId: "ada" }),
      streamer.publish(FLASH, 1, { key: "k", tenantId: "acme" }),
    ];
    const ids = (await Promise.all(published)).map((answer) => answer.data?.id ?? answer.id);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("has a new ID without a key", async () => {
    const { ada, bob } = await room();
    for (let times = 0; times < 2; times++) await ada.ask("publish", { channel: FLASH, data: 1 });
    expect(new Set(bob.pushed("message").map(({ id }) => id)).size).toBe(2);
  });

  it("answers STORE_FAILED when it could be sent to nobody", async () => {
    const { ada, store } = await room();
    vi.spyOn(store.members, "listMembers").mockImplementation(() => {
      throw new Error("throttled");
    });
    expect(await ada.ask("publish", { channel: FLASH, data: 1 })).toMatchObject({
      error: { code: "STORE_FAILED" },
    });
  });
});

describe("maxBytes", () => {
  it.each([
    [{ room: { ...OPEN, maxBytes: 10 } }, "x".repeat(8), "x".repeat(9)],
    [{ room: { ...OPEN, maxBytes: 10 } }, "é".repeat(4), "é".repeat(5)],
    [{ room: OPEN }, "x".repeat(16_382), "x".repeat(16_383)],
  ])("limits data in bytes of JSON", async (channels, fitting, larger) => {
    const { client, streamer } = simulateStreamer({ channels });
    const ada = await client("ada");
    expect(await ada.ask("publish", { channel: ROOM, data: fitting })).toMatchObject({ success: true });
    expect(await ada.ask("publish", { channel: ROOM, data: larger })).toMatchObject({
      error: { code: "TOO_LARGE", retry: false },
    });
    await expect(streamer.publish(ROOM, larger)).rejects.toMatchObject({ code: "TOO_LARGE" });
  });

  it("measures data as it is sent: numbers can grow", async () => {
    const { client } = simulateStreamer({ channels: { room: { ...OPEN, maxBytes: 20 } } });
    const ada = await client("ada");
    const [error] = await ada.send('{"action":"publish","payload":{"channel":"room:a","data":[1e20]}}');
    expect(error).toMatchObject({ error: { code: "TOO_LARGE" } });
  });
});

describe("a fan-out of several pages", () => {
  /** Simulates a channel with this many members. */
  async function hall(members: number) {
    const simulation = simulateStreamer();
    for (let n = 0; n < members; n++) {
      await simulation.store.members.add('[null,"room:hall"]', {
        connectionId: `c${n}`,
        endpoint: n % 2 === 0 ? "https://one.example.com/live" : "https://two.example.com/live",
        joinedAt: START,
        expiresAt: START + 1_000,
      });
    }
    return simulation;
  }

  it("stores its progress between pages, and not for a single page", async () => {
    const { streamer, store, connections } = await hall(MEMBERS_PER_PAGE * 2 + 1);
    const checkpoint = vi.spyOn(store.history, "checkpoint");
    await streamer.publish("room:hall", 1);
    expect(connections.sent).toHaveLength(MEMBERS_PER_PAGE * 2 + 1);
    expect(checkpoint).toHaveBeenCalledTimes(2);
    checkpoint.mockClear();
    await streamer.publish("room:other", 1);
    expect(checkpoint).not.toHaveBeenCalled();
  });

  it("sends the same stored message in every attempt", async () => {
    const { streamer, store, connections } = await hall(MEMBERS_PER_PAGE + 2);
    const broadcast = connections.broadcast.bind(connections);
    vi.spyOn(connections, "broadcast").mockImplementation(async (ids, ...rest) => {
      if ([...(ids as string[])].includes(`c${MEMBERS_PER_PAGE}`)) throw new Error("killed");
      return broadcast(ids, ...rest);
    });
    const { id, position } = await streamer.publish("room:hall", 1, { key: "k" });
    vi.mocked(connections.broadcast).mockRestore();
    // The last page is sent twice, because the end of the second attempt is not stored.
    vi.spyOn(store.history, "markDelivered").mockRejectedValueOnce(new Error("throttled"));
    await streamer.resume({ storedBefore: START + 1 });
    await streamer.resume({ storedBefore: START + 1 });
    expect(connections.sent.length).toBeGreaterThan(MEMBERS_PER_PAGE + 2);
    expect(new Set(connections.sent.map(({ data }) => data)).size).toBe(1);
    expect(JSON.parse(connections.sent[0]!.data)).toMatchObject({ id, position });
    expect((await streamer.history("room:hall")).messages).toMatchObject([{ id, position }]);
    expect((await streamer.publish("room:hall", 1, { key: "k" })).id).toBe(id);
  });

  it("is resumed at the next start, though its message is dated in the future", async () => {
    const { streamer, store, connections, advance } = await hall(1);
    advance(900);
    vi.spyOn(store.history, "markDelivered").mockRejectedValueOnce(new Error("killed"));
    await streamer.publish("room:hall", 1);
    advance(-900);
    expect(await streamer.resume()).toBe(1);
    expect(connections.sent).toHaveLength(2);
  });

  it("is resumed after the last page when its process died", async () => {
    const { streamer, store, connections, lines } = await hall(MEMBERS_PER_PAGE + 2);
    const broadcast = connections.broadcast.bind(connections);
    vi.spyOn(connections, "broadcast").mockImplementation(async (ids, ...rest) => {
      if ([...(ids as string[])].includes(`c${MEMBERS_PER_PAGE}`)) throw new Error("killed");
      return broadcast(ids, ...rest);
    });
    await streamer.publish("room:hall", 1);
    expect(connections.sent).toHaveLength(MEMBERS_PER_PAGE);
    expect(lines.join()).toContain("killed");
    vi.mocked(connections.broadcast).mockRestore();
    expect(await streamer.resume({ storedBefore: START + 1 })).toBe(1);
    const sent = connections.sent.map(({ connectionId }) => connectionId);
    expect(sent.slice(MEMBERS_PER_PAGE).sort()).toEqual([`c${MEMBERS_PER_PAGE}`, `c${MEMBERS_PER_PAGE + 1}`]);
    expect(await collect(store.history.listPendingFanOuts(START + 1))).toEqual([]);
  });

  it("stops when time runs out, and is resumed after the last complete page", async () => {
    const { streamer, connections, lines } = await hall(MEMBERS_PER_PAGE + 1);
    let left = 29_000;
    const context = lambdaContext({ getRemainingTimeInMillis: () => left });
    const broadcast = connections.broadcast.bind(connections);
    let calls = 0;
    vi.spyOn(connections, "broadcast").mockImplementation(async (...args) => {
      const report = await broadcast(...args);
      if (++calls === 2) left = 100;
      return report;
    });
    expect((await streamer.publish("room:hall", 1, { context })).position?.offset).toBe(1);
    expect(connections.sent).toHaveLength(MEMBERS_PER_PAGE);
    expect(lines.join()).toContain("A fan-out ran out of time");
    await streamer.resume({ storedBefore: START + 1 });
    expect(connections.sent).toHaveLength(MEMBERS_PER_PAGE + 1);
  });

  it("continues when its progress can't be stored", async () => {
    const { streamer, store, connections } = await hall(MEMBERS_PER_PAGE + 1);
    vi.spyOn(store.history, "checkpoint").mockRejectedValue(new Error("throttled"));
    await streamer.publish("room:hall", 1);
    expect(connections.sent).toHaveLength(MEMBERS_PER_PAGE + 1);
  });
});

it("a publication reaches each member at its own endpoint, from events and server-side calls", async () => {
  const sent: [string, string][] = [];
  const { client, streamer, store, connections } = simulateStreamer({
    connections: (endpoint) =>
      Object.assign(Object.create(connections), {
        broadcast: async (ids: string[], ...rest: [string]) => {
          sent.push(...ids.map((id): [string, string] => [endpoint, id]));
          return connections.broadcast(ids, ...rest);
        },
      }),
  });
  const ada = await client("ada", { user: "ada" });
  const own = "https://abcdef1234.execute-api.us-east-1.amazonaws.com/test";
  const other = "https://ws.example.com/live";
  await ada.ask("subscribe", { channels: [{ channel: FLASH }] });
  const bob = { connectionId: "bob", endpoint: other, joinedAt: START, expiresAt: START + 1_000 };
  await store.members.add('[null,"flash:news"]', bob);
  const both = [
    [own, "ada"],
    [other, "bob"],
  ];
  await streamer.publish(FLASH, 1);
  expect(sent.splice(0)).toEqual(both);
  await ada.ask("publish", { channel: FLASH, data: 2 });
  expect(sent).toEqual(both);
});

describe("a server-side publication", () => {
  it("needs no right, and has a user only when given one", async () => {
    const { client, streamer } = simulateStreamer({ channels: { room: { subscribe: () => true } } });
    const ada = await client("ada", { tenant: "acme" });
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    await streamer.publish(ROOM, "1", { tenantId: "acme" });
    await streamer.publish(ROOM, "2", { tenantId: "acme", userId: "bot" });
    await streamer.publish(ROOM, "elsewhere");
    expect(ada.pushed("message").map(({ data, user }) => [data, user])).toEqual([
      ["1", undefined],
      ["2", "bot"],
    ]);
  });

  it("rejects invalid channels, unknown namespaces and data that is not JSON", async () => {
    const { streamer } = simulateStreamer();
    await expect(streamer.publish("lobby", 1)).rejects.toMatchObject({ code: "VALIDATION_ERROR" });
    await expect(streamer.publish("nowhere:x", 1)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(streamer.publish(ROOM, undefined as never)).rejects.toMatchObject({ code: "NOT_JSON" });
  });

  it("does not change the caller's data", async () => {
    const { streamer } = simulateStreamer();
    const data = { list: [1] };
    await streamer.publish(ROOM, data);
    data.list.push(2);
    expect((await streamer.history(ROOM)).messages[0]?.data).toEqual({ list: [1] });
  });
});

describe("a publication to others", () => {
  it("reaches everyone except the publishing connection, including the user's other tabs", async () => {
    const { client, streamer } = simulateStreamer();
    const subscribed = async (connectionId: string, user: string) => {
      const one = await client(connectionId, { user });
      await one.ask("subscribe", { channels: [{ channel: "flash:a" }] });
      return one;
    };
    const [ada, tab, bob] = [
      await subscribed("ada-1", "ada"),
      await subscribed("ada-2", "ada"),
      await subscribed("bob-1", "bob"),
    ];
    const got = () => [ada, tab, bob].map((one) => one.pushed("message").map(({ data }) => data));
    await ada.ask("publish", { channel: "flash:a", data: 1, others: true });
    await ada.ask("publish", { channel: "flash:a", data: 2, others: false });
    await streamer.publish("flash:a", 3, { others: "bob-1" });
    expect(got()).toEqual([
      [2, 3],
      [1, 2, 3],
      [1, 2],
    ]);
  });

  it("is refused and not stored in an at-least-once namespace", async () => {
    const { client, streamer } = simulateStreamer();
    const ada = await client("ada-1", { user: "ada" });
    const { error } = await ada.ask("publish", { channel: "room:a", data: 1, others: true });
    expect(error).toMatchObject({ code: "VALIDATION_ERROR", retry: false });
    await expect(streamer.publish("room:a", 1, { others: "ada-1" })).rejects.toMatchObject({
      code: "VALIDATION_ERROR",
    });
    expect((await streamer.history("room:a")).messages).toEqual([]);
  });
});
