import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import type { StreamerOptions } from "../index.ts";

const ROOM = "room:lobby";
const LIMIT_MS = 30_000;

async function simulate(options: Partial<StreamerOptions> = {}) {
  const made = simulateStreamer({
    channels: { room: { ...OPEN, maxBytes: 98_304 } },
    schedule: memorySchedule(),
    ...options,
  });
  const ada = await made.client("ada-1", { user: "ada" });
  await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
  let number = 0;
  /** What a client sends of a message, cut at every so many characters. */
  const parts = (message: object | string, every = 30_000, id = "m1") => {
    const text = typeof message === "string" ? message : JSON.stringify({ id, ...message });
    const texts = text.match(new RegExp(`[^]{1,${every}}`, "gu")) ?? [];
    number++;
    return texts.map((piece, index) => ({
      id,
      action: "part",
      payload: { message: number, index, count: texts.length, text: piece },
    }));
  };
  const sendAll = async (all: readonly object[]) =>
    (await Promise.all(all.map((one) => ada.send(one)))).flat();
  const answers = () => ada.received().filter(({ request_id }) => request_id === "m1");
  return { ...made, ada, parts, sendAll, answers };
}

const publishing = (data: string) => ({ action: "publish", payload: { channel: ROOM, data } });

describe("a message in parts", () => {
  it("is one message, whatever order its parts come in, and has one answer", async () => {
    const { ada, parts, answers } = await simulate();
    const data = 'é"\\\u{1F600}'.repeat(7_000);
    for (const part of parts(publishing(data), 10_000).reverse()) await ada.send(part);
    expect(ada.pushed("message").map((message) => message.data)).toEqual([data]);
    expect(answers()).toEqual([expect.objectContaining({ type: "response", success: true })]);
  });

  it("is one message where all of its parts come at once, and each twice", async () => {
    const { ada, parts, sendAll, answers } = await simulate();
    const data = "x".repeat(90_000);
    const all = parts(publishing(data));
    await sendAll([...all, ...all]);
    expect(ada.pushed("message")).toHaveLength(1);
    expect(answers()).toHaveLength(1);
  });

  it("may be any request", async () => {
    const { parts, sendAll, answers } = await simulate();
    await sendAll(parts({ action: "history", payload: { channel: ROOM } }, 10));
    expect(answers()).toEqual([expect.objectContaining({ data: expect.objectContaining({ messages: [] }) })]);
  });

  it("is published once where it is sent again under a larger number, with its key", async () => {
    const { ada, parts, sendAll, answers } = await simulate();
    const message = { action: "publish", payload: { channel: ROOM, data: "x".repeat(40_000), key: "k1" } };
    await sendAll(parts(message));
    await sendAll(parts(message));
    expect(ada.pushed("message")).toHaveLength(1);
    const [first, second] = answers();
    expect(second).toEqual(first);
  });

  it("is put together whatever it is cut into, as long as that is whole characters", async () => {
    const { sendAll, parts, ada } = await simulate();
    let published = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.integer({ min: 10, max: 40 }),
        async (data, every) => {
          await sendAll(parts(publishing(data.slice(0, 40)), every));
          expect(ada.pushed("message")).toHaveLength(++published);
          expect(ada.pushed("message").at(-1)?.data).toBe(data.slice(0, 40));
        },
      ),
    );
  });
});

describe("a message in parts is answered with an error", () => {
  const failing = async (message: object | string, id?: string) => {
    const made = await simulate();
    await made.sendAll(made.parts(message, 30_000, id));
    return made.ada.received().at(-1);
  };
  const error = (code: string, id = "m1") =>
    expect.objectContaining({ request_id: id, error: expect.objectContaining({ code }) });

  it("when it is larger than the protocol takes", async () => {
    const around = JSON.stringify({ id: "m1", ...publishing("") }).length;
    const { ada, parts, sendAll } = await simulate({ channels: { room: OPEN } });
    await sendAll(parts(publishing("x".repeat(131_072 - around))));
    expect(ada.received().at(-1).error.message).toMatch(
      /`data` has \d+ bytes; the namespace accepts at most 16384/,
    );
    await sendAll(parts(publishing("x".repeat(131_073 - around))));
    expect(ada.received().at(-1)).toEqual(error("TOO_LARGE"));
    expect(ada.received().at(-1).error.message).toBe("The message has 131073 bytes; the maximum is 131072");
  });

  it("when it is no JSON", async () => {
    expect(await failing("x".repeat(40_000))).toEqual(error("MALFORMED_JSON"));
  });

  it("when it is not what its action takes", async () => {
    const message = { action: "publish", payload: { channel: ROOM, nothing: "x".repeat(40_000) } };
    expect(await failing(message)).toEqual(error("VALIDATION_ERROR"));
  });

  it("when the application has a route of its own for it, which takes one frame", async () => {
    const { streamer, client } = simulateStreamer({ channels: { room: OPEN } });
    streamer.app.webSocket("publish", () => {});
    const ada = await client("ada-1");
    const texts = ['{"id":"m1","action":"publish",', `"payload":{"channel":"${ROOM}","data":1}}`];
    for (const [index, text] of texts.entries()) {
      await ada.send({ id: "m1", action: "part", payload: { message: 1, index, count: 2, text } });
    }
    expect(ada.received()).toEqual([error("TOO_LARGE")]);
    expect((await streamer.history(ROOM)).messages).toEqual([]);
  });

  it("when it has another id than its parts", async () => {
    const message = JSON.stringify({ id: "other", ...publishing("x".repeat(40_000)) });
    expect(await failing(message)).toEqual(error("VALIDATION_ERROR"));
  });

  it("when it is a part itself", async () => {
    const payload = { message: 9, index: 0, count: 2, text: "x".repeat(31_000) };
    expect(await failing({ action: "part", payload })).toEqual(error("VALIDATION_ERROR"));
  });

  it("when somebody may not do what it asks", async () => {
    const { ada, parts, sendAll } = await simulate({ channels: { room: { subscribe: () => true } } });
    await sendAll(parts(publishing("x".repeat(40_000))));
    expect(ada.received().at(-1)).toEqual(error("FORBIDDEN"));
  });

  it("when a later one has taken its place, whose own answer comes", async () => {
    const { ada, parts } = await simulate();
    const [first, ...rest] = parts(publishing("a".repeat(40_000)));
    await ada.send(first);
    const second = parts(publishing("b".repeat(40_000)), 30_000, "m2");
    for (const part of second) await ada.send(part);
    expect(ada.received()).toContainEqual(expect.objectContaining({ request_id: "m2", success: true }));
    for (const part of rest) expect(await ada.send(part)).toEqual([error("TIMEOUT")]);
    expect(ada.pushed("message")).toHaveLength(1);
  });

  it("when it is not whole in time, by a tick, once; what comes later is too late", async () => {
    const { ada, parts, advance, streamer, answers } = await simulate();
    const all = parts(publishing("a".repeat(100_000)));
    for (const part of all.slice(1)) await ada.send(part);
    advance(LIMIT_MS - 1);
    await streamer.app.tick();
    expect(answers()).toEqual([]);
    advance(1);
    await streamer.app.tick();
    await streamer.app.tick();
    expect(answers()).toEqual([error("TIMEOUT")]);
    expect(await ada.send(all[0])).toEqual([error("TIMEOUT")]);
    expect(ada.pushed("message")).toEqual([]);
  });

  it("when the store fails", async () => {
    const { ada, parts, store } = await simulate();
    vi.spyOn(store.chunks, "add").mockRejectedValueOnce(new Error("out of breath"));
    const [first] = parts(publishing("a".repeat(40_000)));
    expect(await ada.send(first)).toEqual([error("STORE_FAILED")]);
  });
});

it("tells nobody of a message that became whole, nor of one whose client has gone", async () => {
  const { ada, parts, sendAll, advance, streamer, answers, connections } = await simulate();
  await sendAll(parts(publishing("a".repeat(40_000))));
  advance(LIMIT_MS);
  expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(answers()).toHaveLength(1);
  await ada.send(parts(publishing("b".repeat(40_000)))[0]);
  connections.gone("ada-1");
  advance(LIMIT_MS);
  expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
});

it("takes parts without a schedule, and where it fails", async () => {
  const without = await simulate({ schedule: undefined as never });
  await without.sendAll(without.parts(publishing("a".repeat(40_000))));
  expect(without.ada.pushed("message")).toHaveLength(1);
  const schedule = memorySchedule();
  vi.spyOn(schedule, "put").mockRejectedValue(new Error("out of breath"));
  const failing = await simulate({ schedule });
  await failing.sendAll(failing.parts(publishing("a".repeat(40_000))));
  expect(failing.ada.pushed("message")).toHaveLength(1);
  expect(failing.lines.join()).toContain("was not scheduled");
});
