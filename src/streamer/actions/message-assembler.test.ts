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
  /** Cuts a message into chunks of this many characters. */
  const toChunks = (message: object | string, every = 30_000, id = "m1") => {
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
  return { ...made, ada, toChunks, sendAll, answers };
}

const publishing = (data: string) => ({ action: "publish", payload: { channel: ROOM, data } });

describe("a chunked message", () => {
  it("is reassembled in any order and receives one response", async () => {
    const { ada, toChunks, answers } = await simulate();
    const data = 'é"\\\u{1F600}'.repeat(7_000);
    for (const part of toChunks(publishing(data), 10_000).reverse()) await ada.send(part);
    expect(ada.pushed("message").map((message) => message.data)).toEqual([data]);
    expect(answers()).toEqual([expect.objectContaining({ type: "response", success: true })]);
  });

  it("is reassembled once when all chunks arrive at once and twice", async () => {
    const { ada, toChunks, sendAll, answers } = await simulate();
    const data = "x".repeat(90_000);
    const all = toChunks(publishing(data));
    await sendAll([...all, ...all]);
    expect(ada.pushed("message")).toHaveLength(1);
    expect(answers()).toHaveLength(1);
  });

  it("may hold any request", async () => {
    const { toChunks, sendAll, answers } = await simulate();
    await sendAll(toChunks({ action: "history", payload: { channel: ROOM } }, 10));
    expect(answers()).toEqual([expect.objectContaining({ data: expect.objectContaining({ messages: [] }) })]);
  });

  it("is published once when it is sent again with its key under a larger number", async () => {
    const { ada, toChunks, sendAll, answers } = await simulate();
    const message = { action: "publish", payload: { channel: ROOM, data: "x".repeat(40_000), key: "k1" } };
    await sendAll(toChunks(message));
    await sendAll(toChunks(message));
    expect(ada.pushed("message")).toHaveLength(1);
    const [first, second] = answers();
    expect(second).toEqual(first);
  });

  it("may be split at any character", async () => {
    const { sendAll, toChunks, ada } = await simulate();
    let published = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.integer({ min: 10, max: 40 }),
        async (data, every) => {
          await sendAll(toChunks(publishing(data.slice(0, 40)), every));
          expect(ada.pushed("message")).toHaveLength(++published);
          expect(ada.pushed("message").at(-1)?.data).toBe(data.slice(0, 40));
        },
      ),
    );
  });
});

describe("a chunked message receives an error", () => {
  const failing = async (message: object | string, id?: string) => {
    const made = await simulate();
    await made.sendAll(made.toChunks(message, 30_000, id));
    return made.ada.received().at(-1);
  };
  const error = (code: string, id = "m1") =>
    expect.objectContaining({ request_id: id, error: expect.objectContaining({ code }) });

  it("when it exceeds the frame limit", async () => {
    const around = JSON.stringify({ id: "m1", ...publishing("") }).length;
    const { ada, toChunks, sendAll } = await simulate({ channels: { room: OPEN } });
    await sendAll(toChunks(publishing("x".repeat(131_072 - around))));
    expect(ada.received().at(-1).error.message).toMatch(
      /`data` has \d+ bytes; the namespace accepts at most 16384/,
    );
    await sendAll(toChunks(publishing("x".repeat(131_073 - around))));
    expect(ada.received().at(-1)).toEqual(error("TOO_LARGE"));
    expect(ada.received().at(-1).error.message).toBe("The message has 131073 bytes; the maximum is 131072");
  });

  it("when it is not JSON", async () => {
    expect(await failing("x".repeat(40_000))).toEqual(error("MALFORMED_JSON"));
  });

  it("when its payload is invalid", async () => {
    const message = { action: "publish", payload: { channel: ROOM, nothing: "x".repeat(40_000) } };
    expect(await failing(message)).toEqual(error("VALIDATION_ERROR"));
  });

  it("when the application has a custom route for its action", async () => {
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

  it("when its ID differs from that of its chunks", async () => {
    const message = JSON.stringify({ id: "other", ...publishing("x".repeat(40_000)) });
    expect(await failing(message)).toEqual(error("VALIDATION_ERROR"));
  });

  it("when it is a chunk itself", async () => {
    const payload = { message: 9, index: 0, count: 2, text: "x".repeat(31_000) };
    expect(await failing({ action: "part", payload })).toEqual(error("VALIDATION_ERROR"));
  });

  it("when its action is forbidden", async () => {
    const { ada, toChunks, sendAll } = await simulate({ channels: { room: { subscribe: () => true } } });
    await sendAll(toChunks(publishing("x".repeat(40_000))));
    expect(ada.received().at(-1)).toEqual(error("FORBIDDEN"));
  });

  it("when a later message replaces it, which receives its own response", async () => {
    const { ada, toChunks } = await simulate();
    const [first, ...rest] = toChunks(publishing("a".repeat(40_000)));
    await ada.send(first);
    const second = toChunks(publishing("b".repeat(40_000)), 30_000, "m2");
    for (const part of second) await ada.send(part);
    expect(ada.received()).toContainEqual(expect.objectContaining({ request_id: "m2", success: true }));
    for (const part of rest) expect(await ada.send(part)).toEqual([error("TIMEOUT")]);
    expect(ada.pushed("message")).toHaveLength(1);
  });

  it("when a tick finds it incomplete, once; later chunks are refused", async () => {
    const { ada, toChunks, advance, streamer, answers } = await simulate();
    const all = toChunks(publishing("a".repeat(100_000)));
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
    const { ada, toChunks, store } = await simulate();
    vi.spyOn(store.chunks, "add").mockRejectedValueOnce(new Error("throttled"));
    const [first] = toChunks(publishing("a".repeat(40_000)));
    expect(await ada.send(first)).toEqual([error("STORE_FAILED")]);
  });
});

it("a tick sends no error for a complete message or to a disconnected client", async () => {
  const { ada, toChunks, sendAll, advance, streamer, answers, connections } = await simulate();
  await sendAll(toChunks(publishing("a".repeat(40_000))));
  advance(LIMIT_MS);
  expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
  expect(answers()).toHaveLength(1);
  await ada.send(toChunks(publishing("b".repeat(40_000)))[0]);
  connections.gone("ada-1");
  advance(LIMIT_MS);
  expect(await streamer.app.tick()).toMatchObject({ done: 1, failed: 0 });
});

it("chunks are accepted without a schedule and when the schedule fails", async () => {
  const without = await simulate({ schedule: undefined as never });
  await without.sendAll(without.toChunks(publishing("a".repeat(40_000))));
  expect(without.ada.pushed("message")).toHaveLength(1);
  const schedule = memorySchedule();
  vi.spyOn(schedule, "put").mockRejectedValue(new Error("throttled"));
  const failing = await simulate({ schedule });
  await failing.sendAll(failing.toChunks(publishing("a".repeat(40_000))));
  expect(failing.ada.pushed("message")).toHaveLength(1);
  expect(failing.lines.join()).toContain("was not scheduled");
});
