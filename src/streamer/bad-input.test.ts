import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseServerMessage } from "../../test/streamer/server-message.ts";
import { OPEN, simulateStreamer } from "../../test/streamer/simulation.ts";
import { anyText } from "../../test/support/any-text.ts";
import { ERROR_CODES } from "../lift/index.ts";
import { ACTIONS, RETRY_BY_CODE } from "../protocol/index.ts";
import { memorySchedule } from "../store/memory/index.ts";
import type { StreamerOptions } from "./index.ts";

const CHANNELS = { room: { ...OPEN, presence: true }, closed: { presence: true, live: true } };

async function client(options: Partial<StreamerOptions> = {}) {
  const schedule = memorySchedule();
  const simulation = simulateStreamer({ channels: CHANNELS, maxSubscriptions: 3, schedule, ...options });
  return { ...simulation, ...(await simulation.client("ada-1", { user: "ada", tenant: "acme" })) };
}

const request = (action: unknown, payload: unknown) => JSON.stringify({ id: "r1", action, payload });
/** Messages with each action that has a channel, for this channel. */
const ASKED: { readonly [action: string]: (channel: string) => object } = {
  subscribe: (channel) => ({ channels: [{ channel }] }),
  unsubscribe: (channel) => ({ channels: [channel] }),
  publish: (channel) => ({ channel, data: 1 }),
  history: (channel) => ({ channel }),
  presence: (channel) => ({ channel }),
  set_presence: (channel) => ({ channel, state: 1 }),
  stream_start: (channel) => ({ channel }),
  stream_end: (channel) => ({ channel }),
  stream: (channel) => ({ channel }),
  upload: (channel) => ({ channel, bytes: 1 }),
  download: (channel) => ({ channel, blob: randomUUID() }),
  heartbeat: (channel) => ({ positions: { [channel]: { epoch: "e", offset: 1 } } }),
};
const actionsBut = (...others: string[]) => Object.keys(ASKED).filter((action) => !others.includes(action));

const BAD_NAMES = [
  ["of 10 KB", `room:${"x".repeat(10_240)}`],
  ["with NUL", "room:a\u0000b"],
  ["with a lone surrogate", "room:\ud800"],
  ["without a namespace", "lobby"],
  ["that is a key of the stores", '["other","room:a"]'],
] as const;

const subscribe = (channel: unknown, position?: unknown) =>
  request("subscribe", { channels: [{ channel, position }] });

describe("bad input receives an error with the request's ID and a documented code", () => {
  it.each<readonly [what: string, body: string, code: string]>([
    ["an unknown action", request("fly", {}), "NOT_FOUND"],
    ["an action that is a field of objects", request("constructor", {}), "NOT_FOUND"],
    ["a payload of the wrong schema", request("publish", { channel: 7 }), "VALIDATION_ERROR"],
    ["a payload that is a list", request("subscribe", []), "VALIDATION_ERROR"],
    ["no data to publish", request("publish", { channel: "room:a" }), "VALIDATION_ERROR"],
    ["a negative offset", subscribe("room:a", { epoch: "e", offset: -1 }), "VALIDATION_ERROR"],
    ["an offset that is not a number", subscribe("room:a", { epoch: "e", offset: "1" }), "VALIDATION_ERROR"],
    [
      "an offset that is not a safe integer",
      subscribe("room:a", { epoch: "e", offset: 2 ** 53 }),
      "VALIDATION_ERROR",
    ],
    ["an epoch of 10 KB", subscribe("room:a", { epoch: "e".repeat(10_240), offset: 1 }), "VALIDATION_ERROR"],
    [
      "a place in a history that is two",
      request("history", { channel: "room:a", before: 1, after: { epoch: "e", offset: 1 } }),
      "VALIDATION_ERROR",
    ],
    [
      "a place among users that is none",
      request("presence", { channel: "room:a", after: 7 }),
      "VALIDATION_ERROR",
    ],
    [
      "a place among users of 10 KB",
      request("presence", { channel: "room:a", after: "x".repeat(10_240) }),
      "VALIDATION_ERROR",
    ],
    [
      "101 channels at once",
      request("unsubscribe", { channels: Array(101).fill("room:a") }),
      "VALIDATION_ERROR",
    ],
    [
      "data nested too deep",
      request("publish", { channel: "room:a", data: JSON.parse("[".repeat(65) + "]".repeat(65)) }),
      "VALIDATION_ERROR",
    ],
    [
      "data that is too large",
      request("publish", { channel: "room:a", data: "x".repeat(20_000) }),
      "TOO_LARGE",
    ],
    [
      "a state that is too large",
      request("set_presence", { channel: "room:a", state: "x".repeat(2_000) }),
      "VALIDATION_ERROR",
    ],
    [
      "a key that is too long",
      request("publish", { channel: "room:a", data: 1, key: "k".repeat(129) }),
      "VALIDATION_ERROR",
    ],
    [
      "a legacy client's message of no kind",
      JSON.stringify({ id: "r1", action: "message" }),
      "VALIDATION_ERROR",
    ],
    [
      "a legacy client's message to no channel",
      JSON.stringify({ id: "r1", action: "message", type: "chat", data: {} }),
      "VALIDATION_ERROR",
    ],
    ["a namespace that objects have", request("history", { channel: "constructor:a" }), "NOT_FOUND"],
    ["a stream where there are none", request("stream", { channel: "room:a" }), "NOT_FOUND"],
    ...actionsBut("subscribe", "unsubscribe", "heartbeat").map(
      (action) =>
        [
          `${action} in a namespace nobody configured`,
          request(action, ASKED[action]!("nowhere:a")),
          "NOT_FOUND",
        ] as const,
    ),
    // Members may always leave, and nobody streams in the channel.
    ...actionsBut("subscribe", "unsubscribe", "heartbeat", "stream_end").map(
      (action) =>
        [`${action} without the right`, request(action, ASKED[action]!("closed:a")), "FORBIDDEN"] as const,
    ),
    ...Object.entries(ASKED).flatMap(([action, asked]) =>
      BAD_NAMES.map(
        ([what, name]) =>
          [
            `${action} of a channel with a name ${what}`,
            request(action, asked(name)),
            "VALIDATION_ERROR",
          ] as const,
      ),
    ),
  ])("%s", async (_what, body, code) => {
    const { send } = await client();
    expect(await send(body)).toEqual([
      { type: "error", request_id: "r1", error: expect.objectContaining({ code, retry: false }) },
    ]);
  });

  it.each([
    ["a forbidden channel", "closed:a", "FORBIDDEN"],
    ["an unknown namespace", "nowhere:a", "NOT_FOUND"],
  ])("subscribe refuses only the invalid one of several channels: %s", async (_what, channel, code) => {
    const { ask } = await client();
    const { data } = await ask("subscribe", { channels: [{ channel }, { channel: "room:a" }] });
    expect(data.channels).toMatchObject([
      { channel, error: { code } },
      { channel: "room:a", position: {} },
    ]);
  });

  it("subscribe refuses each of 10,000 channels past the limit by name", async () => {
    const { ask } = await client({ maxSubscriptions: 100 });
    const results = [];
    for (let n = 0; n < 100; n++) {
      const channels = Array.from({ length: 100 }, (_, i) => ({ channel: `room:${n}-${i}` }));
      const { data } = await ask("subscribe", { channels });
      results.push(...data.channels);
    }
    const refused = results.filter(({ error }) => error !== undefined);
    expect([results.length, refused.length]).toEqual([10_000, 9_900]);
    expect(new Set(refused.map(({ channel }) => channel)).size).toBe(9_900);
    expect(new Set(refused.map(({ error: { code, retry } }) => `${code} ${retry}`))).toEqual(
      new Set(["LIMIT_EXCEEDED false"]),
    );
  });

  it("heartbeat reveals nothing about channels that are unknown or forbidden to the client", async () => {
    const { ask } = await client();
    const positions = { "nowhere:a": { epoch: "e", offset: 1 }, "closed:a": { epoch: "e", offset: 1 } };
    expect((await ask("heartbeat", { positions })).data).toEqual({ heads: {} });
  });

  it("an error names the field that is invalid", async () => {
    const { send } = await client();
    const [{ error }] = await send(subscribe("room:a", { epoch: "e" }));
    expect(error.details).toEqual({
      path: "payload.channels[0].position.offset",
      message: expect.stringContaining("must be an integer"),
    });
  });

  it.each([undefined, "", 7, "x".repeat(129), null, {}])(
    "an invalid request ID is replaced by the event's ID: %j",
    async (id) => {
      const { send } = await client();
      const [{ request_id, error }] = await send(JSON.stringify({ id, action: "fly" }));
      expect(request_id).toEqual(id === "x".repeat(129) ? id : "Ti89OF32joEFbiA=");
      expect(error.code).toBe(id === undefined ? "NOT_FOUND" : "VALIDATION_ERROR");
    },
  );
});

describe("another tenant's prefix is an ordinary name", () => {
  const NAMES = ["room:other/room:a", 'room:","room:a', 'room:a"]', "room:other:a", 'room:["other"'];

  it.each(NAMES)("%s", async (channel) => {
    const { ask, streamer, client: connect } = await client({ maxSubscriptions: 100 });
    const eve = await connect("eve-1", { user: "eve", tenant: "other" });
    await eve.ask("subscribe", { channels: [{ channel: "room:a", state: "secret" }] });
    await streamer.publish("room:a", "theirs", { tenantId: "other" });
    const { data } = await ask("subscribe", { channels: [{ channel, recent: 10 }] });
    expect(data.channels).toMatchObject([{ channel, messages: [], position: { offset: 0 } }]);
    expect((await ask("history", { channel })).data.messages).toEqual([]);
    expect((await ask("presence", { channel })).data.users).toMatchObject([{ user: "ada" }]);
    await ask("publish", { channel, data: "ours" });
    expect(eve.pushed("message").map(({ data }) => data)).toEqual(["theirs"]);
    expect((await streamer.history("room:a", { tenantId: "other" })).position.offset).toBe(1);
  });
});

describe("a position outside the channel's past", () => {
  async function published() {
    const made = await client();
    const { position } = await made.streamer.publish("room:a", 1, { tenantId: "acme" });
    return { ...made, head: position! };
  }

  it.each([
    ["a future offset", (epoch: string) => ({ epoch, offset: 2 })],
    ["a far future offset", (epoch: string) => ({ epoch, offset: Number.MAX_SAFE_INTEGER })],
    ["an offset of another epoch", () => ({ epoch: "another", offset: 1 })],
    ["the beginning of another epoch", () => ({ epoch: "another", offset: 0 })],
  ])("%s recovers nothing and receives the channel's head", async (_what, of) => {
    const { ask, head } = await published();
    const position = of(head.epoch);
    const lost = { recovered: false, messages: [], position: head };
    const { data } = await ask("subscribe", { channels: [{ channel: "room:a", position }] });
    expect(data.channels).toMatchObject([{ channel: "room:a", ...lost }]);
    expect((await ask("history", { channel: "room:a", after: position })).data).toMatchObject(lost);
    const { heads } = (await ask("heartbeat", { positions: { "room:a": position } })).data;
    expect(heads).toEqual({ "room:a": head });
  });

  it("returns the whole history when read backwards from the future", async () => {
    const { ask } = await published();
    const { data } = await ask("history", { channel: "room:a", before: Number.MAX_SAFE_INTEGER });
    expect(data).toMatchObject({ messages: [{ data: 1 }], more: false });
  });
});

it("every message receives exactly one response in the protocol's form", async () => {
  const { send } = await client();
  const channel = fc.constantFrom("room:a", "room:b", "closed:a", "nowhere:a", "flash", "room:\u0000");
  const position = fc.record({ epoch: fc.string(), offset: fc.integer() });
  const near = fc.record(
    {
      id: fc.string(),
      action: fc.constantFrom(...ACTIONS, "fly"),
      type: fc.constantFrom("chat", "presence", "stream"),
      data: fc.dictionary(fc.string(), fc.jsonValue()),
      payload: fc.record(
        {
          channel,
          channels: fc.array(fc.oneof(channel, fc.record({ channel, position, recent: fc.nat(120) }))),
          data: fc.jsonValue(),
          state: fc.jsonValue(),
          positions: fc.dictionary(channel, position),
          after: position,
          token: fc.string(),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    anyText,
    fc.json(),
    near.map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      const sent = await send(text);
      for (const message of sent) parseServerMessage(JSON.stringify(message));
      const answers = sent.filter(({ type }) => type === "response" || type === "error");
      expect(answers).toHaveLength(1);
      if (answers[0].type === "error") {
        expect(answers[0].error.retry).toBe(
          RETRY_BY_CODE[answers[0].error.code as keyof typeof RETRY_BY_CODE],
        );
        expect(answers[0].error.code).not.toBe("INTERNAL_ERROR");
      }
    }),
    { numRuns: 150 },
  );
});

it("Lift and the protocol share error codes and their retry advice", () => {
  const shared = Object.entries(ERROR_CODES).filter(([, kind]) => !("internal" in kind));
  const retries = shared.map(([code, kind]) => [code, "retry" in kind]);
  expect(RETRY_BY_CODE).toMatchObject(Object.fromEntries(retries));
});

it("a tenant ID too long for the store fails the request and is logged", async () => {
  const { client, lines } = simulateStreamer({ channels: { room: OPEN } });
  const ada = await client("ada-1", { tenant: "t".repeat(1_020) });
  expect(await ada.ask("history", { channel: "room:a" })).toMatchObject({
    error: { code: "INTERNAL_ERROR" },
  });
  expect(lines.join()).toContain("exceed 1024 bytes");
});

it("the bad-input cases cover every action with a channel", () => {
  expect(ACTIONS.filter((action) => !Object.hasOwn(ASKED, action)).sort()).toEqual([
    "cancel",
    "message",
    "part",
    "refresh",
    "request",
    "requests",
    "resend",
    "result",
  ]);
});
