import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { collect, OPEN, simulateStreamer } from "../../test/streamer/simulation.ts";
import type { Json } from "../store/index.ts";

const ROOM = "room:lobby";
const FLASH = "flash:news";

const line = z.object({
  text: z.string().trim().min(1),
  to: z.string().default("all"),
  on: z.string().pipe(z.coerce.date()).optional(),
});
/** Validates asynchronously. */
const named = z.object({
  mood: z.string().refine(async (mood) => mood !== "bad"),
  pad: z
    .number()
    .default(0)
    .transform((length) => "x".repeat(length)),
});

async function room() {
  const simulation = simulateStreamer({
    channels: {
      room: { ...OPEN, presence: true, schema: line, stateSchema: named, maxBytes: 80 },
      flash: { ...OPEN, delivery: "at-most-once", schema: line },
      closed: { schema: line },
    },
  });
  const ada = await simulation.client("ada-1", { user: "ada" });
  const bob = await simulation.client("bob-1", { user: "bob" });
  for (const client of [ada, bob]) {
    await client.ask("subscribe", { channels: [{ channel: ROOM }, { channel: FLASH }] });
  }
  const stored = async () => (await simulation.streamer.history(ROOM)).messages.map(({ data }) => data);
  const present = () => collect(simulation.streamer.presence(ROOM));
  return { ...simulation, ada, bob, stored, present };
}

const receivedData = (client: { pushed(type: "message"): { data: unknown }[] }) =>
  client.pushed("message").map(({ data }) => data);

describe("a schema for data", () => {
  it.each([ROOM, FLASH])("refuses invalid data with the path of each issue: %s", async (channel) => {
    const { ada, bob, stored } = await room();
    const { error } = await ada.ask("publish", { channel, data: { text: " ", to: 1 } });
    expect(error).toMatchObject({ code: "VALIDATION_ERROR", retry: false });
    expect(error.details).toEqual([
      { path: ["text"], message: expect.any(String) },
      { path: ["to"], message: expect.any(String) },
    ]);
    expect(error.message).toMatch(/^Invalid `data\.text`: Too small.* \(2 issues\)$/);
    expect([receivedData(bob), await stored()]).toEqual([[], []]);
  });

  it("reports the first issue and its path to the server-side call", async () => {
    const { ada, streamer } = await room();
    await expect(streamer.publish(ROOM, { text: "" })).rejects.toThrow(/^Invalid `data\.text`: Too small/);
    const { error } = await ada.ask("publish", { channel: ROOM, data: "hi" });
    expect(error.message).toBe("Invalid `data`: Invalid input: expected object, received string");
  });

  it.each([ROOM, FLASH])("sends its output as JSON: %s", async (channel) => {
    const { ada, bob } = await room();
    await ada.ask("publish", { channel, data: { text: " hi ", on: "2026-01-01", more: 1 } });
    expect(receivedData(bob)).toEqual([{ text: "hi", to: "all", on: "2026-01-01T00:00:00.000Z" }]);
  });

  it("stores its output", async () => {
    const { ada, stored } = await room();
    await ada.ask("publish", { channel: ROOM, data: { text: " hi ", on: "2026-01-01" } });
    expect(await stored()).toEqual([{ text: "hi", to: "all", on: "2026-01-01T00:00:00.000Z" }]);
  });

  it("applies to legacy messages", async () => {
    const { ada, stored } = await room();
    const say = (text: unknown) =>
      ada.send({ action: "message", type: "chat", data: { channel: ROOM, text } });
    expect(await say(7)).toMatchObject([{ error: { code: "VALIDATION_ERROR" } }]);
    await say("hi ");
    expect(await stored()).toEqual([{ text: "hi", to: "all" }]);
  });

  it("applies to server-side calls", async () => {
    const { streamer, stored } = await room();
    await expect(streamer.publish(ROOM, { text: "" })).rejects.toMatchObject({
      code: "VALIDATION_ERROR",
      details: [{ path: ["text"] }],
    });
    await streamer.publish(ROOM, { text: " hi" });
    expect(await stored()).toEqual([{ text: "hi", to: "all" }]);
  });

  it("does not run for a client that may not publish", async () => {
    const { ada } = await room();
    const validate = vi.spyOn(line["~standard"], "validate");
    expect(await ada.ask("publish", { channel: "closed:a", data: 1 })).toMatchObject({
      error: { code: "FORBIDDEN" },
    });
    expect(validate).not.toHaveBeenCalled();
  });

  it("applies maxBytes to its input and its output", async () => {
    const { ada } = await room();
    const publish = async (data: Json) => (await ada.ask("publish", { channel: ROOM, data })).error?.code;
    expect(await publish({ text: "x".repeat(80 - '{"text":"","to":"all"}'.length) })).toBeUndefined();
    expect(await publish({ text: "x".repeat(81 - '{"text":"","to":"all"}'.length) })).toBe("TOO_LARGE");
    expect(await publish({ text: `hi${" ".repeat(80)}` })).toBe("TOO_LARGE");
  });

  it.each([
    ["throws", z.any().transform((): number => JSON.parse("secret"))],
    ["returns a value that is not JSON", z.any().transform(() => 1n)],
    ["returns undefined", z.any().transform(() => undefined)],
  ])("that %s fails with an internal error", async (_what, schema) => {
    const { client, lines } = simulateStreamer({ channels: { room: { ...OPEN, schema } } });
    const ada = await client("ada-1");
    const { error } = await ada.ask("publish", { channel: ROOM, data: "secret" });
    expect(error).toEqual({ code: "INTERNAL_ERROR", message: "Internal server error", retry: false });
    expect(lines).toHaveLength(1);
  });
});

describe("a schema for state", () => {
  it("refuses only the channel of a subscribe with an invalid state", async () => {
    const { client, present } = await room();
    const eve = await client("eve-1", { user: "eve" });
    const ask = async (state: Json) => {
      const channels = [{ channel: ROOM, state }, { channel: FLASH }];
      return (await eve.ask("subscribe", { channels })).data.channels;
    };
    expect(await ask({ mood: "bad" })).toMatchObject([
      { channel: ROOM, error: { code: "VALIDATION_ERROR", message: "Invalid `state.mood`: Invalid input" } },
      { channel: FLASH },
    ]);
    expect((await present()).map(({ user }) => user).sort()).toEqual(["ada", "bob"]);
    expect((await ask({ mood: "good", more: 1 }))[0]).not.toHaveProperty("error");
    expect(await present()).toContainEqual(
      expect.objectContaining({ user: "eve", state: { mood: "good", pad: "" } }),
    );
    expect(eve.pushed("presence")).toMatchObject([{ event: "join", state: { mood: "good", pad: "" } }]);
  });

  it("applies to set_presence", async () => {
    const { ada, bob, present } = await room();
    const show = async (state: Json) => (await ada.ask("set_presence", { channel: ROOM, state })).error;
    expect(await show({ mood: "bad" })).toMatchObject({
      code: "VALIDATION_ERROR",
      message: "Invalid `state.mood`: Invalid input",
      details: [{ path: ["mood"] }],
    });
    expect(await show({ mood: "good", pad: 2_000 })).toMatchObject({ code: "TOO_LARGE" });
    expect(await show({ mood: "good", pad: 1 })).toBeUndefined();
    const state = { mood: "good", pad: "x" };
    expect(await present()).toContainEqual(expect.objectContaining({ user: "ada", state }));
    expect(bob.pushed("presence").at(-1)).toMatchObject({ event: "update", user: "ada", state });
  });

  it("applies to legacy messages", async () => {
    const { ada, present } = await room();
    const show = (mood: string) =>
      ada.send({ action: "message", type: "presence", data: { channel: ROOM, state: { mood } } });
    expect(await show("bad")).toMatchObject([{ error: { code: "VALIDATION_ERROR" } }]);
    await show("good");
    expect(await present()).toContainEqual(
      expect.objectContaining({ user: "ada", state: { mood: "good", pad: "" } }),
    );
  });

  it("allows users to clear their state", async () => {
    const { ada, present } = await room();
    await ada.ask("set_presence", { channel: ROOM, state: { mood: "good" } });
    expect((await ada.ask("set_presence", { channel: ROOM })).error).toBeUndefined();
    for (const user of await present()) expect(user).not.toHaveProperty("state");
  });
});
