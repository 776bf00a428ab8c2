import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connected, setup } from "../../../test/client/setup.ts";
import { UNCERTAIN_CODES } from "../errors.ts";
import { type OutboxItem, type OutboxStorage, outbox } from "../index.ts";

const MINUTE = 60_000;

describe("publishing", () => {
  it("resolves with the id and the position of the stored message", async () => {
    const { client, clock } = await connected();
    const published = client.publish("room:a", { text: "hi" });
    await clock.pass(10);
    expect(await published).toEqual({ id: "m1", position: { epoch: "e1", offset: 1 } });
  });

  it("queues offline messages, and sends them in order", async () => {
    const { client, clock, server } = setup();
    const answers = [1, 2, 3].map((data) => client.publish("room:a", data));
    await clock.pass(60 * MINUTE);
    client.connect();
    await clock.pass(100);
    expect((await Promise.all(answers)).map(({ position }) => position?.offset)).toEqual([1, 2, 3]);
    expect(server.stored).toEqual([1, 2, 3]);
  });

  it("stores a resent message once", async () => {
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

  it("resends an unanswered message on the same socket after a timeout", async () => {
    const { client, clock, server } = await connected();
    server.faults.drop = 1;
    const published = client.publish("room:a", 1);
    await clock.pass(9_000);
    server.faults.drop = 0;
    await clock.pass(3_000);
    expect(await published).toMatchObject({ id: "m1" });
    expect([server.stored, server.opened.length]).toEqual([[1], 1]);
  });

  it("keeps the order of a channel during retries, and does not delay other channels", async () => {
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

  it("keeps the order of a message that is published while an earlier one is retried", async () => {
    const { client, clock, server } = await connected();
    const answers = [1, 2].map((data) => client.publish("room:a", data));
    server.intercept = ({ payload }) =>
      (payload as { data: number }).data === 2 ? "RATE_LIMITED" : undefined;
    await clock.pass(10);
    answers.push(client.publish("room:a", 3));
    await clock.pass(10);
    server.intercept = () => undefined;
    await clock.pass(10_000);
    await Promise.all(answers);
    expect(server.stored).toEqual([1, 2, 3]);
  });

  it("does not wait for responses in a channel without order", async () => {
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

  it("rejects with a permanent server error, and continues with the next message", async () => {
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

  it("rejects with OUTCOME_UNKNOWN after a server error that may have stored the message", async () => {
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

  it("has the error codes of PROTOCOL.md after which a message may be stored", () => {
    const protocol = readFileSync(join(import.meta.dirname, "../../../PROTOCOL.md"), "utf8");
    const rows = protocol.matchAll(/^\| `([A-Z_]+)` \|.*may have been carried out/gm);
    expect(UNCERTAIN_CODES.toSorted()).toEqual([...rows].map(([, code]) => code).toSorted());
  });

  it("rejects with OUTCOME_UNKNOWN when a retry is refused after the message may have been stored", async () => {
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

  it("rejects with the refusal of a retry when the first attempt stored nothing", async () => {
    const { client, clock, server } = await connected();
    const answers = ["RATE_LIMITED", "FORBIDDEN"] as const;
    server.intercept = () => answers[server.requests.length - 1];
    const check = expect(client.publish("room:a", 1)).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(5_000);
    await check;
  });

  it("rejects with OUTCOME_UNKNOWN when the key of a sent message has expired", async () => {
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

  it("retries a rate-limited message even after its key has expired", async () => {
    const { client, clock, server } = await connected();
    let limited = true;
    server.intercept = ({ action }) => (action === "publish" && limited ? "RATE_LIMITED" : undefined);
    const published = client.publish("room:a", 1);
    await clock.pass(10 * MINUTE);
    limited = false;
    await clock.pass(MINUTE);
    expect(await published).toMatchObject({ id: "m1" });
  });

  it("rejects with its signal or after its timeout, and continues with the next message", async () => {
    const { client, clock, server } = setup();
    const controller = new AbortController();
    const aborted = expect(client.publish("room:a", 1, { signal: controller.signal })).rejects.toMatchObject({
      code: "ABORTED",
    });
    const late = expect(client.publish("room:a", 2, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    const third = client.publish("room:a", 3);
    controller.abort();
    await clock.pass(2_000);
    await Promise.all([aborted, late]);
    client.connect();
    await clock.pass(100);
    await third;
    expect(server.stored).toEqual([3]);
  });

  it("sends the data as it was at the call", async () => {
    const { client, clock, server } = setup();
    const data = { text: "before" };
    void client.publish("room:a", data);
    data.text = "after";
    client.connect();
    await clock.pass(100);
    expect(server.stored).toEqual([{ text: "before" }]);
  });

  it("refuses messages over the size limit in bytes, and sends smaller ones", async () => {
    const { client, clock, server } = await connected();
    await expect(client.publish("room:a", "é".repeat(65_536))).rejects.toMatchObject({ code: "TOO_LARGE" });
    const largest = client.publish("room:a", "é".repeat(16_270));
    await clock.pass(10);
    await largest;
    expect(server.stored).toHaveLength(1);
  });

  it.each([[undefined], [1n], [() => {}]])("refuses data that is not JSON: %s", async (data) => {
    const { client } = setup();
    await expect(client.publish("room:a", data as never)).rejects.toMatchObject({ code: "NOT_JSON" });
  });

  it("refuses an invalid channel name", async () => {
    await expect(setup().client.publish("lobby", 1)).rejects.toMatchObject({ code: "INVALID_CHANNEL" });
  });
});

describe("an unanswered publish when the clock jumps", () => {
  /** Returns a client that is offline after it sent a message and got no response. */
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
    // The server has forgotten the key, so it would store the message again.
    const expire = () => all.server.channel("room:a").keys.clear();
    return { ...all, published, expire };
  }

  it.each([60 * MINUTE, -60 * MINUTE])("by %d ms, is not resent when its key has expired", async (ms) => {
    const { clock, server, published, expire } = await unanswered();
    clock.jump(ms);
    await clock.pass(6 * MINUTE);
    expire();
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(server.stored).toEqual([1]);
  });

  it("back, is resent while its key is valid", async () => {
    const { clock, server, published } = await unanswered();
    clock.jump(-60 * MINUTE);
    await clock.pass(MINUTE);
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    expect(await published).toMatchObject({ id: "m1" });
    expect(server.stored).toEqual([1]);
  });

  it("ahead, is not resent, because a device that slept cannot detect it otherwise", async () => {
    const { clock, server, published, expire } = await unanswered();
    clock.jump(60 * MINUTE);
    expire();
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(server.stored).toEqual([1]);
  });

  it("back, is not resent by a client without a monotonic clock", async () => {
    const { clock, ...all } = await unanswered();
    const { server } = all;
    Object.assign(clock, { monotonic: undefined });
    clock.jump(-60 * MINUTE);
    server.upgrade = () => true;
    await clock.pass(MINUTE);
    await expect(all.published).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });
});

/** Returns whether an item can be sent. */
function isItem(value: unknown): boolean {
  const { channel, data, key } = (value ?? {}) as OutboxItem;
  return typeof channel === "string" && data !== undefined && typeof key === "string";
}

describe("the outbox", () => {
  it("refuses items over its number and size limits, and accepts more when items are sent", async () => {
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

  it("is saved in a storage, and the next client sends it first, with the same keys", async () => {
    const disk = storage();
    const first = setup({ use: [outbox(disk.port)] });
    void first.client.publish("room:a", 1, { key: "k1" });
    void first.client.publish("room:a", 2, { key: "k2" });
    await first.clock.pass(10);
    expect(disk.items()).toEqual([
      { channel: "room:a", data: 1, key: "k1" },
      { channel: "room:a", data: 2, key: "k2" },
    ]);
    const second = setup({ use: [outbox(disk.port)] });
    const third = second.client.publish("room:a", 3);
    second.client.connect();
    await second.clock.pass(100);
    await third;
    expect(second.server.stored).toEqual([1, 2, 3]);
    expect([...second.server.channel("room:a").keys.keys()].slice(0, 2)).toEqual(["k1", "k2"]);
    expect([disk.items(), disk.most()]).toEqual([[], 1]);
  });

  it("saves when an item was sent, so that its key expires in time", async () => {
    const disk = storage();
    const first = await connected({ use: [outbox(disk.port)] });
    first.server.faults.drop = 1;
    void first.client.publish("room:a", 1);
    await first.clock.pass(10);
    expect(disk.items()).toMatchObject([{ sentAt: first.clock.now() - 10 }]);
    const second = setup({ use: [outbox(disk.port)] });
    await second.clock.pass(6 * MINUTE);
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect(second.server.stored).toEqual([]);
  });

  it("saves the recipients of an item", async () => {
    const disk = storage();
    const first = setup({ use: [outbox(disk.port)] });
    void first.client.publish("flash:a", 1, { key: "k1", others: true });
    void first.client.publish("flash:a", 2, { key: "k2", others: false });
    await first.clock.pass(10);
    const { client, clock, server } = setup({ use: [outbox(disk.port)] });
    client.connect();
    await clock.pass(100);
    expect(server.requests.map(({ payload }) => payload)).toEqual([
      { channel: "flash:a", data: 1, key: "k1", others: true },
      { channel: "flash:a", data: 2, key: "k2" },
    ]);
  });

  /** Creates a storage whose first `times` loads fail. */
  function blocked(times: number, saved: readonly OutboxItem[]) {
    const disk = storage(saved);
    let loads = 0;
    const load = () => {
      if (loads++ < times) throw new Error("blocked");
      return disk.port.load();
    };
    return { ...disk, port: { ...disk.port, load } };
  }

  const OLD: OutboxItem = { channel: "room:a", data: "old", key: "k0" };

  it.each([1, 2, 5])("is loaded after a connect when loading failed %d times before", async (times) => {
    const disk = blocked(times, [OLD]);
    const { client, clock, server, errors } = setup({ use: [outbox(disk.port)] });
    client.connect();
    await clock.pass(MINUTE);
    expect([server.stored, disk.items()]).toEqual([["old"], []]);
    expect(errors).toMatchObject(
      Array(times).fill({ code: "STORAGE_FAILED", message: "Loading the outbox failed" }),
    );
  });

  it("is loaded again before a save replaces it, when a message is published offline", async () => {
    const disk = blocked(1, [OLD]);
    const { client, clock, server } = setup({ use: [outbox(disk.port)] });
    await clock.pass(10);
    void client.publish("room:b", "new", { key: "k1" });
    await clock.pass(10);
    expect(
      disk
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
    ["never resolves", () => new Promise(() => {})],
    ["returns a string", () => "[]"],
    ["returns an object", () => ({ length: 1 })],
    ["returns a number", () => 7],
  ])("is not saved over a storage whose load %s, and sends published messages", async (_what, load) => {
    const saves: unknown[] = [];
    const storage = {
      load: load as OutboxStorage["load"],
      save: (items: unknown) => void saves.push(items),
    };
    const { client, clock, server, errors } = setup({ use: [outbox(storage)] });
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

  it.each([undefined, null])("starts empty with a storage that returns %s", async (nothing) => {
    const disk = storage(nothing as never);
    const { client, clock, errors } = setup({ use: [outbox(disk.port)] });
    void client.publish("room:a", 1, { key: "k1" });
    await clock.pass(10);
    expect([disk.items(), errors]).toEqual([[{ channel: "room:a", data: 1, key: "k1" }], []]);
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
    "reports an unreadable item, keeps it in the storage, and sends the others: %o",
    async (bad) => {
      const disk = storage([OLD, bad, { channel: "room:a", data: "behind it", key: "k1" }]);
      const { client, clock, server, errors } = setup({ use: [outbox(disk.port)] });
      client.connect();
      await clock.pass(100);
      expect([server.stored, disk.items()]).toEqual([["old", "behind it"], [bad]]);
      expect(errors).toMatchObject([{ code: "STORAGE_FAILED", cause: expect.any(Error) }]);
      expect(errors[0]!.details).toBe(bad);
    },
  );

  it("sends every valid item and keeps every invalid one, in any order", async () => {
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
      const storage = {
        load: () => saved,
        save: (items: readonly OutboxItem[]) => {
          saved = items;
        },
      };
      const { client, clock, server, errors } = setup({ use: [outbox(storage)] });
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

  // After 62 minutes the saved time is no longer in the future.
  it.each([1, 62])("treats an item that was sent in the future as expired after %i min", async (minutes) => {
    const disk = storage();
    const first = await connected({ use: [outbox(disk.port)] });
    first.clock.jump(60 * MINUTE);
    first.server.faults.drop = 1;
    void first.client.publish("room:a", 1);
    await first.clock.pass(10);
    expect(disk.items()).toMatchObject([{ sentAt: first.clock.now() - 10 }]);
    // The clock is correct again, so the time since the item was sent is unknown.
    const second = setup({ use: [outbox(disk.port)] });
    void second.client.publish("room:b", 2);
    await second.clock.pass(minutes * MINUTE);
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect([second.server.stored, disk.items()]).toEqual([[2], []]);
  });

  it("has expired items also after a restart", async () => {
    const disk = storage([{ ...OLD, sentAt: Date.UTC(2027, 0, 1) }]);
    const first = setup({ use: [outbox(disk.port)] });
    void first.client.publish("room:b", 2, { key: "k2" });
    await first.clock.pass(10);
    expect(disk.items()).toHaveLength(2);
    const second = setup({ use: [outbox(disk.port)] });
    second.client.connect();
    await second.clock.pass(100);
    expect(second.errors.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN"]);
    expect(second.server.stored).toEqual([2]);
  });

  it("saves the time of sending by the corrected clock", async () => {
    const disk = storage();
    const { client, clock, server } = await connected({ use: [outbox(disk.port)] });
    clock.jump(60 * MINUTE);
    server.faults.drop = 1;
    void client.publish("room:a", 1);
    await clock.pass(MINUTE / 2);
    clock.jump(-60 * MINUTE);
    void client.publish("room:b", 2);
    await clock.pass(10);
    expect(disk.items()[0]).toMatchObject({ data: 1, sentAt: clock.now() - MINUTE / 2 - 10 });
  });

  it("reports a save that fails, and saves with the next change", async () => {
    const disk = storage();
    let isFull = true;
    const full = new Error("full");
    const save: OutboxStorage["save"] = (items) => (isFull ? Promise.reject(full) : disk.port.save(items));
    const { client, clock, errors } = setup({ use: [outbox({ ...disk.port, save })] });
    void client.publish("room:a", 1);
    await clock.pass(10);
    expect(errors).toMatchObject([
      { code: "STORAGE_FAILED", message: "Saving the outbox failed", cause: full },
    ]);
    isFull = false;
    void client.publish("room:a", 2);
    await clock.pass(10);
    expect(disk.items()).toMatchObject([{ data: 1 }, { data: 2 }]);
    expect(errors).toHaveLength(1);
  });

  it("works without a storage that fails, and reports the failure", async () => {
    const fails = () => Promise.reject(new Error("full"));
    const { client, clock, errors } = setup({ use: [outbox({ load: fails, save: fails })] });
    client.connect();
    const published = client.publish("room:a", 1);
    await clock.pass(100);
    expect(await published).toMatchObject({ id: "m1" });
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(["STORAGE_FAILED"]));
  });
});
