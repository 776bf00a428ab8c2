import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseServerMessage } from "../../test/server-message.ts";
import { OPEN, streamerWorld } from "../../test/streamer-world.ts";
import { ERROR_CODES } from "../lift/index.ts";
import { ACTIONS, RETRY_BY_CODE } from "../protocol/index.ts";

const CHANNELS = { room: { ...OPEN, presence: true }, closed: { presence: true } };

async function client() {
  const world = streamerWorld({ channels: CHANNELS, maxSubscriptions: 3 });
  return { ...world, ...(await world.client("ada-1", { user: "ada", tenant: "acme" })) };
}

const request = (action: unknown, payload: unknown) => JSON.stringify({ id: "r1", action, payload });
const subscribe = (channel: unknown, position?: unknown) =>
  request("subscribe", { channels: [{ channel, position }] });

describe("bad input is answered with an error, the request's id, and a code of the table", () => {
  it.each([
    ["an unknown action", request("fly", {}), "NOT_FOUND"],
    ["an action that is a field of objects", request("constructor", {}), "NOT_FOUND"],
    ["a payload of the wrong schema", request("publish", { channel: 7 }), "VALIDATION_ERROR"],
    ["a payload that is a list", request("subscribe", []), "VALIDATION_ERROR"],
    ["no data to publish", request("publish", { channel: "room:a" }), "VALIDATION_ERROR"],
    ["a channel's name of 10 KB", subscribe(`room:${"x".repeat(10_240)}`), "VALIDATION_ERROR"],
    ["a channel's name with NUL", subscribe("room:a\u0000b"), "VALIDATION_ERROR"],
    ["a channel's name with a lone surrogate", subscribe("room:\ud800"), "VALIDATION_ERROR"],
    ["a channel without a namespace", subscribe("lobby"), "VALIDATION_ERROR"],
    ["a key of the store as a channel", subscribe('["other","room:a"]'), "VALIDATION_ERROR"],
    ["a negative offset", subscribe("room:a", { epoch: "e", offset: -1 }), "VALIDATION_ERROR"],
    ["an offset that is no number", subscribe("room:a", { epoch: "e", offset: "1" }), "VALIDATION_ERROR"],
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
    ["a namespace nobody configured", request("publish", { channel: "nowhere:a", data: 1 }), "NOT_FOUND"],
    ["its history", request("history", { channel: "nowhere:a" }), "NOT_FOUND"],
    ["its presence", request("presence", { channel: "nowhere:a" }), "NOT_FOUND"],
    ["publishing without the right", request("publish", { channel: "closed:a", data: 1 }), "FORBIDDEN"],
    ["history without the right", request("history", { channel: "closed:a" }), "FORBIDDEN"],
    ["presence without the right", request("presence", { channel: "closed:a" }), "FORBIDDEN"],
    ["a state without the right", request("set_presence", { channel: "closed:a", state: 1 }), "FORBIDDEN"],
    ["a namespace that objects have", request("history", { channel: "constructor:a" }), "NOT_FOUND"],
  ])("%s", async (_what, body, code) => {
    const { send } = await client();
    expect(await send(body)).toEqual([
      { type: "error", request_id: "r1", error: expect.objectContaining({ code, retry: false }) },
    ]);
  });

  it.each([
    ["no right to it", "closed:a", "FORBIDDEN"],
    ["a namespace nobody configured", "nowhere:a", "NOT_FOUND"],
  ])("of one channel of several, for it alone: %s", async (_what, channel, code) => {
    const { ask } = await client();
    const { data } = await ask("subscribe", { channels: [{ channel }, { channel: "room:a" }] });
    expect(data.channels).toMatchObject([
      { channel, error: { code } },
      { channel: "room:a", position: {} },
    ]);
  });

  it("another tenant's prefix is a name like any other", async () => {
    const { ask, streamer } = await client();
    await streamer.publish("room:a", "theirs", { tenantId: "other" });
    for (const channel of ["room:other/room:a", 'room:","room:a', 'room:a"]', "room:other:a"]) {
      expect((await ask("history", { channel })).data.messages).toEqual([]);
    }
  });

  it("says where a message is wrong", async () => {
    const { send } = await client();
    const [{ error }] = await send(subscribe("room:a", { epoch: "e" }));
    expect(error.details).toEqual({
      path: "payload.channels[0].position.offset",
      message: expect.stringContaining("must be an integer"),
    });
  });

  it.each([undefined, "", 7, "x".repeat(129), null, {}])(
    "has the event's id where the request's is %j",
    async (id) => {
      const { send } = await client();
      const [{ request_id, error }] = await send(JSON.stringify({ id, action: "fly" }));
      expect(request_id).toEqual(id === "x".repeat(129) ? id : "Ti89OF32joEFbiA=");
      expect(error.code).toBe(id === undefined ? "NOT_FOUND" : "VALIDATION_ERROR");
    },
  );
});

it("answers every message once, in the protocol's form, whatever it is", { timeout: 30_000 }, async () => {
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
    fc.string({ unit: "binary" }),
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

it("shares Lift's codes with the protocol, and what a client is to do about them", () => {
  const shared = Object.entries(ERROR_CODES).filter(([, kind]) => !("internal" in kind));
  const retries = shared.map(([code, kind]) => [code, "retry" in kind]);
  expect(RETRY_BY_CODE).toMatchObject(Object.fromEntries(retries));
});

it("does nothing for a tenant whose id is too long for a store, and logs why", async () => {
  const { client, lines } = streamerWorld({ channels: CHANNELS });
  const ada = await client("ada-1", { tenant: "t".repeat(1_020) });
  expect(await ada.ask("history", { channel: "room:a" })).toMatchObject({
    error: { code: "INTERNAL_ERROR" },
  });
  expect(lines.join()).toContain("exceed 1024 bytes");
});
