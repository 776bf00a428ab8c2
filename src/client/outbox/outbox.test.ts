import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connected, setup } from "../../../test/client/setup.ts";
import type { OutboxItem, OutboxStorage } from "../index.ts";
import { UNCERTAIN_CODES } from "./outbox.ts";

const MINUTE = 60_000;

describe("publishing", () => {
  it("resolves with the id and the position of what is stored", async () => {
    const { client, clock } = await connected();
    const published = client.publish("room:a", { text: "hi" });
    await clock.pass(10);
    expect(await published).toEqual({ id: "m1", position: { epoch: "e1", offset: 1 } });
  });

  it("holds what is published offline, and sends it in order", async () => {
    const { client, clock, server } = setup();
    const answers = [1, 2, 3].map((data) => client.publish("room:a", data));
    await clock.pass(60 * MINUTE);
    client.connect();
    await clock.pass(100);
    expect((await Promise.all(answers)).map(({ position }) => position?.offset)).toEqual([1, 2, 3]);
    expect(server.stored).toEqual([1, 2, 3]);
  });

  it("stores once what it had to send again", async () => {
    const { client, clock, server } = await connected();
    server.faults.drop = 1;
    const published = client.publish("room:a", 1);
    await clock.pass(10);
    expect(server.stored).toEqual([1]);
    server.faults.drop = 0;
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(await published).toMatchObject({ id: "m1" });
    expect([server.stored, server.actions]).toEqual([[1], ["publish", "publish"]]);
  });

  it("sends again on the same socket what is not answered in time", async () => {
    const { client, clock, server } = await connected();
    server.faults.drop = 1;
    const published = client.publish("room:a", 1);
    await clock.pass(9_000);
    server.faults.drop = 0;
    await clock.pass(3_000);
    expect(await published).toMatchObject({ id: "m1" });
    expect([server.stored, server.opened.length]).toEqual([[1], 1]);
  });

  it("keeps the order of a channel, also when one has to be tried again; other channels do not wait", async () => {
    const { client, clock, server } = await connected();
    let failures = 2;
    server.intercept = ({ action, payload }) =>
      action === "publish" && payload.data === 1 && failures-- > 0 ? "RATE_LIMITED" : undefined;
    const answers = [1, 2].map((data) => client.publish("room:a", data));
    answers.push(client.publish("room:b", 3), client.publish("room:a", 4, { ordered: false }));
    await clock.pass(10_000);
    await Promise.all(answers);
    expect(server.stored).toEqual([3, 4, 1, 2]);
  });

  it("does not wait for answers where a channel has no order", async () => {
    const { client, clock, server } = await connected();
    server.faults.latency = [100, 100];
    const first = client.publish("topic:a", 0);
    await clock.pass(300);
    await first;
    const answers = [1, 2, 3].map((data) => client.publish("topic:a", data));
    await clock.pass(200);
    await Promise.all(answers);
    expect(server.stored).toEqual([0, 1, 2, 3]);
  });

  it("rejects with the server's error when it is one that stays, and goes on with the next", async () => {
    const { client, clock, server } = await connected();
    server.intercept = ({ action, payload }) =>
      action === "publish" && payload.data === 1 ? "FORBIDDEN" : undefined;
    const refused = client.publish("room:a", 1);
    const next = client.publish("room:a", 2);
    const check = expect(refused).rejects.toMatchObject({ code: "FORBIDDEN", retry: false });
    await clock.pass(100);
    await check;
    expect(await next).toMatchObject({ id: "m1" });
  });

  it("says that it does not know after a failure of the server's that may have stored it", async () => {
    const { client, clock, server } = await connected();
    server.intercept = ({ action }) => {
      if (action !== "publish") return undefined;
      server.publish("room:a", 1);
      return "INTERNAL_ERROR";
    };
    const cause = expect.objectContaining({ code: "INTERNAL_ERROR" });
    const check = expect(client.publish("room:a", 1)).rejects.toMatchObject({
      code: "OUTCOME_UNKNOWN",
      cause,
    });
    await clock.pass(100);
    await check;
    expect(server.actions).toEqual(["publish"]);
  });

  it("knows after which answers it may be stored", () => {
    const protocol = readFileSync(join(import.meta.dirname, "../../../PROTOCOL.md"), "utf8");
    const rows = protocol.matchAll(/^\| `([A-Z_]+)` \|.*may have been carried out/gm);
    expect(UNCERTAIN_CODES.toSorted()).toEqual([...rows].map(([, code]) => code).toSorted());
  });

  it("says that it does not know when it is refused after it may have been stored", async () => {
    const { client, clock, server } = await connected();
    const answers = ["STORE_FAILED", "FORBIDDEN"] as const;
    server.intercept = () => answers[server.requests.length - 1];
    const cause = expect.objectContaining({ code: "FORBIDDEN" });
    const check = expect(client.publish("room:a", 1)).rejects.toMatchObject({
      code: "OUTCOME_UNKNOWN",
      cause,
    });
    await clock.pass(5_000);
    await check;
  });

  it("knows when it is refused after an answer by which it was not stored", async () => {
    const { client, clock, server } = await connected();
    const answers = ["RATE_LIMITED", "FORBIDDEN"] as const;
    server.intercept = () => answers[server.requests.length - 1];
    const check = expect(client.publish("room:a", 1)).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(5_000);
    await check;
  });

  it("says that it does not know when a key no longer holds", async () => {
    const { client, clock, server } = await connected();
    server.faults.drop = 1;
    const sent = client.publish("room:a", 1);
    const check = expect(sent).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await clock.pass(100);
    server.faults.drop = 0;
    server.upgrade = () => false;
    server.opened[0]!.cut();
    await clock.pass(10);
    const waiting = client.publish("room:b", 2);
    await clock.pass(6 * MINUTE);
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await check;
    expect(await waiting).toMatchObject({ id: "m2" });
    expect(server.stored).toEqual([1, 2]);
  });

  it("knows that what was refused for a while is not stored", async () => {
    const { client, clock, server } = await connected();
    let limited = true;
    server.intercept = ({ action }) => (action === "publish" && limited ? "RATE_LIMITED" : undefined);
    const published = client.publish("room:a", 1);
    await clock.pass(10 * MINUTE);
    limited = false;
    await clock.pass(MINUTE);
    expect(await published).toMatchObject({ id: "m1" });
  });

  it("gives up with its signal or after its time; what is behind goes on", async () => {
    const { client, clock, server } = setup();
    const controller = new AbortController();
    const aborted = expect(client.publish("room:a", 1, { signal: controller.signal })).rejects.toMatchObject({
      code: "ABORTED",
    });
    const late = expect(client.publish("room:a", 2, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    const kept = client.publish("room:a", 3);
    controller.abort();
    await clock.pass(2_000);
    await Promise.all([aborted, late]);
    client.connect();
    await clock.pass(100);
    await kept;
    expect(server.stored).toEqual([3]);
  });

  it("takes the data as it is when it is given", async () => {
    const { client, clock, server } = setup();
    const data = { text: "before" };
    void client.publish("room:a", data);
    data.text = "after";
    client.connect();
    await clock.pass(100);
    expect(server.stored).toEqual([{ text: "before" }]);
  });

  it("refuses what is too large for a frame, in bytes, and sends what is not", async () => {
    const { client, clock, server } = await connected();
    await expect(client.publish("room:a", "é".repeat(65_536))).rejects.toMatchObject({ code: "TOO_LARGE" });
    const largest = client.publish("room:a", "é".repeat(16_270));
    await clock.pass(10);
    await largest;
    expect(server.stored).toHaveLength(1);
  });

  it.each([[undefined], [1n], [() => {}]])("refuses what JSON can't hold: %s", async (data) => {
    const { client } = setup();
    await expect(client.publish("room:a", data as never)).rejects.toMatchObject({ code: "NOT_JSON" });
  });

  it("refuses what is no channel", async () => {
    await expect(setup().client.publish("lobby", 1)).rejects.toMatchObject({ code: "INVALID_CHANNEL" });
  });
});

describe("a publication that was not answered, when the clock jumps", () => {
  /** Sent, not answered, and offline. */
  async function unanswered() {
    const all = await connected();
    all.server.faults.drop = 1;
    const published = all.client.publish("room:a", 1);
    published.catch(() => {});
    await all.clock.pass(100);
    all.server.faults.drop = 0;
    all.server.upgrade = () => false;
    all.server.opened[0]!.cut();
    await all.clock.pass(10);
    // The key is over: the server would store it again.
    const expire = () => all.server.channel("room:a").keys.clear();
    return { ...all, published, expire };
  }

  it.each([60 * MINUTE, -60 * MINUTE])("by %d ms, is not sent when its key no longer holds", async (ms) => {
    const { clock, server, published, expire } = await unanswered();
    clock.jump(ms);
    await clock.pass(6 * MINUTE);
    expire();
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(server.stored).toEqual([1]);
  });

  it("back, is sent again while its key holds", async () => {
    const { clock, server, published } = await unanswered();
    clock.jump(-60 * MINUTE);
    await clock.pass(MINUTE);
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    expect(await published).toMatchObject({ id: "m1" });
    expect(server.stored).toEqual([1]);
  });

  it("ahead, is not sent: a device that slept has no other sign of it", async () => {
    const { clock, server, published, expire } = await unanswered();
    clock.jump(60 * MINUTE);
    expire();
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(server.stored).toEqual([1]);
  });

  it("back, is not sent by a client whose clock has no monotonic time", async () => {
    const { clock, ...all } = await unanswered();
    const { server } = all;
    Object.assign(clock, { monotonic: undefined });
    clock.jump(-60 * MINUTE);
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(all.published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });
});

/** Whether it can be sent. */
function isItem(value: unknown): boolean {
  const { channel, data, key } = (value ?? {}) as OutboxItem;
  return typeof channel === "string" && data !== undefined && typeof key === "string";
}

describe("the outbox", () => {
  it("takes no more than it may, by number and by size, and more when there is room again", async () => {
    const { client, clock } = setup({ outboxMaxItems: 2 });
    const small = setup({ outboxMaxBytes: 1_000 });
    const first = [client.publish("room:a", 1), client.publish("room:a", 2)];
    await expect(client.publish("room:a", 3)).rejects.toMatchObject({ code: "OUTBOX_FULL", retry: true });
    void small.client.publish("room:a", "a".repeat(500));
    await expect(small.client.publish("room:a", "a".repeat(500))).rejects.toMatchObject({
      code: "OUTBOX_FULL",
    });
    client.connect();
    await clock.pass(100);
    await Promise.all(first);
    const next = client.publish("room:a", 3);
    await clock.pass(100);
    expect(await next).toMatchObject({ id: "m3" });
  });

  function storage(saved: readonly OutboxItem[] = []) {
    let items = saved;
    let saving = 0;
    let most = 0;
    const port: OutboxStorage = {
      load: async () => items,
      save: async (now) => {
        most = Math.max(most, ++saving);
        await undefined;
        items = structuredClone(now);
        saving--;
      },
    };
    return { port, items: () => items, most: () => most };
  }

  it("is kept by a storage, and sent by the next client before anything else, under the same keys", async () => {
    const kept = storage();
    const first = setup({ outboxStorage: kept.port });
    void first.client.publish("room:a", 1, { key: "k1" });
    void first.client.publish("room:a", 2, { key: "k2" });
    await first.clock.pass(10);
    expect(kept.items()).toEqual([
      { channel: "room:a", data: 1, key: "k1" },
      { channel: "room:a", data: 2, key: "k2" },
    ]);
    const second = setup({ outboxStorage: kept.port });
    const third = second.client.publish("room:a", 3);
    second.client.connect();
    await second.clock.pass(100);
    await third;
    expect(second.server.stored).toEqual([1, 2, 3]);
    expect([...second.server.channel("room:a").keys.keys()].slice(0, 2)).toEqual(["k1", "k2"]);
    expect([kept.items(), kept.most()]).toEqual([[], 1]);
  });

  it("keeps when something was sent, so that its key is not trusted for too long", async () => {
    const kept = storage();
    const first = await connected({ outboxStorage: kept.port });
    first.server.faults.drop = 1;
    void first.client.publish("room:a", 1);
    await first.clock.pass(10);
    expect(kept.items()).toMatchObject([{ sentAt: first.clock.now() - 10 }]);
    const second = setup({ outboxStorage: kept.port });
    await second.clock.pass(6 * MINUTE);
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect(second.server.stored).toEqual([]);
  });

  it("keeps whom something is for", async () => {
    const kept = storage();
    const first = setup({ outboxStorage: kept.port });
    void first.client.publish("flash:a", 1, { key: "k1", others: true });
    void first.client.publish("flash:a", 2, { key: "k2", others: false });
    await first.clock.pass(10);
    const { client, clock, server } = setup({ outboxStorage: kept.port });
    client.connect();
    await clock.pass(100);
    expect(server.requests.map(({ payload }) => payload)).toEqual([
      { channel: "flash:a", data: 1, key: "k1", others: true },
      { channel: "flash:a", data: 2, key: "k2" },
    ]);
  });

  /** A storage that is blocked so many times before it can be loaded. */
  function blocked(times: number, saved: readonly OutboxItem[]) {
    const kept = storage(saved);
    let loads = 0;
    const load = () => {
      if (loads++ < times) throw new Error("blocked");
      return kept.port.load();
    };
    return { ...kept, port: { ...kept.port, load } };
  }

  const OLD: OutboxItem = { channel: "room:a", data: "old", key: "k0" };

  it.each([1, 2, 5])("is loaded with the connection when that failed %d times before", async (times) => {
    const kept = blocked(times, [OLD]);
    const { client, clock, server, errors } = setup({ outboxStorage: kept.port });
    client.connect();
    await clock.pass(MINUTE);
    expect([server.stored, kept.items()]).toEqual([["old"], []]);
    expect(errors).toMatchObject(
      Array(times).fill({ code: "STORAGE_FAILED", message: "Loading the outbox failed" }),
    );
  });

  it("is loaded again, before anything is saved over it, when something is published offline", async () => {
    const kept = blocked(1, [OLD]);
    const { client, clock, server } = setup({ outboxStorage: kept.port });
    await clock.pass(10);
    void client.publish("room:b", "new", { key: "k1" });
    await clock.pass(10);
    expect(
      kept
        .items()
        .map(({ data }) => data)
        .sort(),
    ).toEqual(["new", "old"]);
    client.connect();
    await clock.pass(100);
    expect(server.stored.toSorted()).toEqual(["new", "old"]);
  });

  it.each([
    ["throws", () => JSON.parse("{")],
    ["rejects", () => Promise.reject(new Error("blocked"))],
    ["never answers", () => new Promise(() => {})],
    ["gives a text", () => "[]"],
    ["gives an object", () => ({ length: 1 })],
    ["gives a number", () => 7],
  ])("is not saved over a storage whose load %s, and sends what is published", async (_what, load) => {
    const saves: unknown[] = [];
    const outboxStorage = {
      load: load as OutboxStorage["load"],
      save: (items: unknown) => void saves.push(items),
    };
    const { client, clock, server, errors } = setup({ outboxStorage });
    client.connect();
    const published = client.publish("room:a", 1);
    await clock.pass(MINUTE);
    expect(await published).toMatchObject({ id: "m1" });
    expect([server.stored, saves]).toEqual([[1], []]);
    expect(errors.length).toBeGreaterThan(1);
    for (const error of errors) expect(error).toMatchObject({ code: "STORAGE_FAILED", retry: true });
    client.disconnect();
    await clock.pass(MINUTE);
    expect(clock.pending).toBe(0);
  });

  it.each([undefined, null])("begins empty with a storage that gives %s", async (nothing) => {
    const kept = storage(nothing as never);
    const { client, clock, errors } = setup({ outboxStorage: kept.port });
    void client.publish("room:a", 1, { key: "k1" });
    await clock.pass(10);
    expect([kept.items(), errors]).toEqual([[{ channel: "room:a", data: 1, key: "k1" }], []]);
  });

  const circular: unknown[] = [];
  circular.push(circular);
  const BAD = [
    null,
    undefined,
    7,
    "text",
    [],
    {},
    { data: 1, key: "k" },
    { channel: "lobby", data: 1, key: "k" },
    { channel: "room:a", key: "k" },
    { channel: "room:a", data: 1 },
    { channel: "room:a", data: 1, key: 7 },
    { channel: "room:a", data: 1, key: "" },
    { channel: "room:a", data: 1n, key: "k" },
    { channel: "room:a", data: circular, key: "k" },
    { channel: "room:a", data: "é".repeat(65_536), key: "k" },
  ].map((item) => item as unknown as OutboxItem);

  it.each(BAD)(
    "reports an item that it can't read, leaves it in the storage, and sends the others: %o",
    async (bad) => {
      const kept = storage([OLD, bad, { channel: "room:a", data: "behind it", key: "k1" }]);
      const { client, clock, server, errors } = setup({ outboxStorage: kept.port });
      client.connect();
      await clock.pass(100);
      expect([server.stored, kept.items()]).toEqual([["old", "behind it"], [bad]]);
      expect(errors).toMatchObject([{ code: "STORAGE_FAILED", cause: expect.any(Error) }]);
      expect(errors[0]!.details).toBe(bad);
    },
  );

  it("sends every good item and keeps every bad one, whatever is among them", async () => {
    const good = fc.record({
      channel: fc.constantFrom("room:a", "room:b"),
      data: fc.jsonValue(),
      key: fc.uuid(),
    });
    const bad = fc.oneof(fc.constantFrom(...BAD), fc.anything() as fc.Arbitrary<OutboxItem>);
    const entry = fc.oneof(
      good.map((item) => ({ item, isGood: true })),
      bad.filter((item) => !isItem(item)).map((item) => ({ item, isGood: false })),
    );
    type Entry = { readonly item: OutboxItem; readonly isGood: boolean };
    const check = async (entries: readonly Entry[]) => {
      let saved: readonly OutboxItem[] = entries.map(({ item }) => item);
      const outboxStorage = {
        load: () => saved,
        save: (items: readonly OutboxItem[]) => {
          saved = items;
        },
      };
      const { client, clock, server, errors } = setup({ outboxStorage });
      client.connect();
      await clock.pass(1_000);
      const [sent, left] = [true, false].map((good) => entries.filter(({ isGood }) => isGood === good));
      expect(server.stored).toHaveLength(sent!.length);
      expect(errors).toHaveLength(left!.length);
      if (sent!.length > 0) expect(saved).toEqual(left!.map(({ item }) => item));
    };
    await fc.assert(fc.asyncProperty(fc.array(entry as fc.Arbitrary<Entry>, { maxLength: 6 }), check), {
      seed: 5,
      numRuns: 50,
    });
  });

  it("counts an item that was sent in the future as expired", async () => {
    const kept = storage();
    const first = await connected({ outboxStorage: kept.port });
    first.clock.jump(60 * MINUTE);
    first.server.faults.drop = 1;
    void first.client.publish("room:a", 1);
    await first.clock.pass(10);
    expect(kept.items()).toMatchObject([{ sentAt: first.clock.now() - 10 }]);
    // The clock is right again; nobody knows how long ago it was sent.
    const second = setup({ outboxStorage: kept.port });
    void second.client.publish("room:b", 2);
    await second.clock.pass(MINUTE);
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect([second.server.stored, kept.items()]).toEqual([[2], []]);
  });

  it("stays expired through restarts", async () => {
    const kept = storage([{ ...OLD, sentAt: Date.UTC(2027, 0, 1) }]);
    const first = setup({ outboxStorage: kept.port });
    void first.client.publish("room:b", 2, { key: "k2" });
    await first.clock.pass(10);
    expect(kept.items()).toHaveLength(2);
    const second = setup({ outboxStorage: kept.port });
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect(second.server.stored).toEqual([2]);
  });

  it("keeps when something was sent by the corrected clock", async () => {
    const kept = storage();
    const { client, clock, server } = await connected({ outboxStorage: kept.port });
    clock.jump(60 * MINUTE);
    server.faults.drop = 1;
    void client.publish("room:a", 1);
    await clock.pass(MINUTE / 2);
    clock.jump(-60 * MINUTE);
    void client.publish("room:b", 2);
    await clock.pass(10);
    expect(kept.items()[0]).toMatchObject({ data: 1, sentAt: clock.now() - MINUTE / 2 - 10 });
  });

  it("goes on without a storage that fails, and says so", async () => {
    const fails = () => Promise.reject(new Error("full"));
    const { client, clock, errors } = setup({ outboxStorage: { load: fails, save: fails } });
    client.connect();
    const published = client.publish("room:a", 1);
    await clock.pass(100);
    expect(await published).toMatchObject({ id: "m1" });
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(["STORAGE_FAILED"]));
  });
});
