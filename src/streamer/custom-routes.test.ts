import { describe, expect, it } from "vitest";
import { collect, OPEN, type SimulatedClient, simulateStreamer } from "../../test/streamer/simulation.ts";
import { LiftError } from "../lift/index.ts";

const ROOM = "room:lobby";

const FORBIDDEN = [{ type: "error", error: { code: "FORBIDDEN", retry: false } }];

/** Simulates an application whose own route refuses an action. */
function simulate(action: string) {
  const { streamer, client, ...rest } = simulateStreamer({
    channels: { room: { ...OPEN, presence: true }, stream: OPEN },
  });
  streamer.app.webSocket(action, () => {
    throw new LiftError("FORBIDDEN", { message: "Moderated" });
  });
  return { streamer, client, ...rest };
}

async function sendInChunks(client: SimulatedClient, message: { readonly id: string }): Promise<unknown[]> {
  const text = JSON.stringify(message);
  const texts = [text.slice(0, 20), text.slice(20)];
  const sent = [];
  for (const [index, piece] of texts.entries()) {
    const payload = { message: 1, index, count: texts.length, text: piece };
    sent.push(...(await client.send({ id: message.id, action: "part", payload })));
  }
  return sent;
}

describe("a custom publish route", () => {
  it.each([
    ["chat", ROOM],
    ["stream", "stream:s"],
  ])("is not bypassed by the legacy message: %s", async (type, channel) => {
    const { streamer, client } = simulate("publish");
    const ada = await client("ada-1", { user: "ada" });
    const message = { id: "1", action: "message", type, data: { channel, text: "unmoderated" } };
    expect(await ada.send(message)).toMatchObject(FORBIDDEN);
    expect(await sendInChunks(ada, message)).toMatchObject(FORBIDDEN);
    expect((await streamer.history(channel)).messages).toEqual([]);
  });

  it("is not bypassed through $default when the deployed API lacks the route", async () => {
    const { streamer, client } = simulate("publish");
    const ada = await client("ada-1", { user: "ada" });
    const answer = await ada.ask("publish", { channel: ROOM, data: 1 });
    expect(answer.error).toMatchObject({
      code: "FORBIDDEN",
      message: "The application handles `publish` with a route of its own; send the action `publish`",
    });
    expect((await streamer.history(ROOM)).messages).toEqual([]);
  });

  it("does not affect other actions", async () => {
    const { client } = simulate("publish");
    const ada = await client("ada-1", { user: "ada" });
    const { data } = await ada.ask("subscribe", { channels: [{ channel: ROOM, state: 1 }] });
    expect(data.channels[0].error).toBeUndefined();
    const message = { id: "1", action: "message", type: "presence", data: { channel: ROOM, state: 2 } };
    expect(await ada.send(message)).toMatchObject([{ type: "response" }, { type: "presence", state: 2 }]);
  });
});

describe("a custom set_presence route", () => {
  it("is not bypassed by the legacy message", async () => {
    const { streamer, client } = simulate("set_presence");
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    const message = { id: "1", action: "message", type: "presence", data: { channel: ROOM, state: 1 } };
    expect(await ada.send(message)).toMatchObject(FORBIDDEN);
    expect(await sendInChunks(ada, message)).toMatchObject(FORBIDDEN);
    expect(await collect(streamer.presence(ROOM))).not.toContainEqual(expect.objectContaining({ state: 1 }));
  });

  it.each(["in one frame", "in chunks"])("is not bypassed by a subscribe with a state, %s", async (how) => {
    const { streamer, client } = simulate("set_presence");
    const bob = await client("bob-1", { user: "bob" });
    await bob.ask("subscribe", { channels: [{ channel: ROOM }] });
    const ada = await client("ada-1", { user: "ada" });
    const channels = [{ channel: ROOM, state: 1 }, { channel: "room:other" }];
    const message = { id: "1", action: "subscribe", payload: { channels } };
    const sent = how === "in one frame" ? await ada.send(message) : await sendInChunks(ada, message);
    expect(sent).toMatchObject([
      { data: { channels: [{ channel: ROOM, error: { code: "FORBIDDEN" } }, { channel: "room:other" }] } },
      { type: "presence", channel: "room:other" },
    ]);
    expect(bob.pushed("presence").filter(({ user }) => user === "ada")).toEqual([]);
    expect(await collect(streamer.presence(ROOM))).toMatchObject([{ user: "bob" }]);
  });

  it("does not affect a subscribe without a state", async () => {
    const { client } = simulate("set_presence");
    const ada = await client("ada-1", { user: "ada" });
    const { data } = await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    expect(data.channels[0].error).toBeUndefined();
  });
});

it.each([
  "upload",
  "download",
  "stream_start",
  "stream_end",
  "stream",
  "history",
  "presence",
  "heartbeat",
  "refresh",
  "unsubscribe",
])("Streamer leaves %s, which has no other form, to the custom route", async (action) => {
  const { client } = simulate(action);
  const ada = await client("ada-1", { user: "ada" });
  const message = {
    id: "1",
    action,
    payload: { channel: ROOM, channels: [ROOM], bytes: 1, blob: "b", token: "t" },
  };
  expect(await ada.send(message)).toMatchObject(FORBIDDEN);
  expect(await sendInChunks(ada, message)).toMatchObject([{ error: { code: "TOO_LARGE" } }]);
});
