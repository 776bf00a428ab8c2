import { RateLimiterMemory } from "rate-limiter-flexible";
import { describe, expect, it } from "vitest";
import { OPEN, type SimulatedClient, START, simulateStreamer } from "../../test/streamer/simulation.ts";
import { memorySchedule } from "../store/memory/index.ts";
import type { NamespaceOptions } from "./index.ts";

const ROOM = "room:lobby";
const TWO = { limit: 2, windowMs: 1_000 };

type Rate = NonNullable<NamespaceOptions["rate"]>;

function simulate(rate: Rate) {
  const room = { ...OPEN, presence: true, live: true, maxBlobBytes: 1, rate };
  const blobs = {
    createUpload: async () => ({ url: "https://x", headers: {} }),
    createDownloadUrl: async () => "https://x",
  };
  const flash = { ...OPEN, delivery: "at-most-once", rate } as const;
  return simulateStreamer({ channels: { room, flash }, blobs, schedule: memorySchedule() });
}

const publish = (client: SimulatedClient, channel = ROOM) => client.ask("publish", { channel, data: 1 });
const codeOf = ({ error }: { error?: { code: string } }) => error?.code;

/** Publishes three messages and counts those that are accepted. */
async function letThrough(client: SimulatedClient, channel = ROOM): Promise<number> {
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await publish(client, channel));
  return answers.filter(({ type }) => type === "response").length;
}

describe("the rate of a namespace", () => {
  it("refuses publications above it with a wait time, and stores nothing", async () => {
    const { client, streamer, advance } = simulate(TWO);
    const ada = await client("ada-1", { user: "ada" });
    await publish(ada);
    advance(300);
    await publish(ada);
    expect(await publish(ada)).toEqual({
      type: "error",
      request_id: expect.any(String),
      error: {
        code: "RATE_LIMITED",
        message: expect.any(String),
        retry: true,
        details: { retryAfterMs: 700 },
      },
    });
    expect((await streamer.history(ROOM)).position.offset).toBe(2);
    advance(700);
    expect((await publish(ada)).data.position.offset).toBe(3);
  });

  it("is counted in memory when the limiter is undefined", async () => {
    const { client } = simulate({ ...TWO, limiter: undefined } as Rate);
    expect(await letThrough(await client("ada-1", { user: "ada" }))).toBe(2);
  });

  it("counts a tenant's user across connections, and apart from other users", async () => {
    const { client } = simulate(TWO);
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    expect(await letThrough(ada)).toBe(2);
    expect(await letThrough(await client("ada-2", { user: "ada", tenant: "acme" }))).toBe(0);
    expect(await letThrough(await client("ada-3", { user: "ada", tenant: "other" }))).toBe(2);
    expect(await letThrough(await client("bob-1", { user: "bob", tenant: "acme" }))).toBe(2);
  });

  it("counts each anonymous connection, also when a user has its ID as a name", async () => {
    const { client } = simulate(TWO);
    expect(await letThrough(await client("one"))).toBe(2);
    expect(await letThrough(await client("two"))).toBe(2);
    expect(await letThrough(await client("three", { user: "two" }))).toBe(2);
  });

  it("counts each channel, also at-most-once", async () => {
    const { client } = simulate(TWO);
    const ada = await client("ada-1", { user: "ada" });
    expect([
      await letThrough(ada),
      await letThrough(ada, "room:other"),
      await letThrough(ada, "flash:a"),
    ]).toEqual([2, 2, 2]);
  });

  it("does not apply to server-side calls", async () => {
    const { client, streamer } = simulate(TWO);
    for (let i = 0; i < 3; i++) await streamer.publish(ROOM, i, { userId: "ada" });
    expect(await letThrough(await client("ada-1", { user: "ada" }))).toBe(2);
  });

  it("is counted after the rules, so that a forbidden request stays FORBIDDEN", async () => {
    const room = { publish: () => false, rate: { limit: 1, windowMs: 1_000 } };
    const { client } = simulateStreamer({ channels: { room } });
    const ada = await client("ada-1", { user: "ada" });
    expect([codeOf(await publish(ada)), codeOf(await publish(ada))]).toEqual(["FORBIDDEN", "FORBIDDEN"]);
  });

  it("applies to legacy messages", async () => {
    const { client } = simulate(TWO);
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    const say = (type: string) => ada.send({ id: "m", action: "message", type, data: { channel: ROOM } });
    for (const type of ["chat", "presence"]) {
      await say(type);
      await say(type);
      expect(await say(type)).toMatchObject([{ type: "error", error: { code: "RATE_LIMITED" } }]);
    }
  });

  it("counts states, streams and blobs apart from messages", async () => {
    const { client } = simulate({ limit: 1, windowMs: 1_000 });
    const ada = await client("ada-1", { user: "ada" });
    await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
    const once = async (ask: () => Promise<{ error?: { code: string } }>) => {
      expect(codeOf(await ask())).toBeUndefined();
      expect(codeOf(await ask())).toBe("RATE_LIMITED");
    };
    await once(() => publish(ada));
    await once(() => ada.ask("set_presence", { channel: ROOM, state: 1 }));
    await once(() => ada.ask("stream_start", { channel: ROOM }));
    await once(() => ada.ask("upload", { channel: ROOM, bytes: 1 }));
  });

  it("counts the state of a first subscribe apart from later states", async () => {
    const { client, streamer } = simulate({ limit: 1, windowMs: 1_000 });
    const ada = await client("ada-1", { user: "ada" });
    const subscribe = async (state: number) =>
      (await ada.ask("subscribe", { channels: [{ channel: ROOM, state }] })).data.channels[0];
    expect(codeOf(await subscribe(1))).toBeUndefined();
    expect(codeOf(await subscribe(2))).toBeUndefined();
    expect(codeOf(await subscribe(3))).toBe("RATE_LIMITED");
    for await (const one of streamer.presence(ROOM)) {
      expect(one).toEqual({ user: "ada", since: START, state: 2 });
    }
  });

  it("counts the states of a user who leaves and returns", async () => {
    const { client, advance } = simulate({ limit: 1, windowMs: 60_000 });
    const bob = await client("bob-1", { user: "bob" });
    await bob.ask("subscribe", { channels: [{ channel: ROOM }] });
    const eve = [await client("eve-1", { user: "eve" }), await client("eve-2", { user: "eve" })];
    const codes = [];
    for (let n = 0; n < 10; n++) {
      const one = eve[n % 2]!;
      const { data } = await one.ask("subscribe", { channels: [{ channel: ROOM, state: { spam: n } }] });
      codes.push(codeOf(data.channels[0]));
      await one.ask("unsubscribe", { channels: [ROOM] });
    }
    expect(codes).toEqual([undefined, ...new Array(9).fill("RATE_LIMITED")]);
    expect(bob.pushed("presence").filter(({ state }) => state !== undefined)).toHaveLength(1);
    advance(60_000);
    const again = await eve[0]!.ask("subscribe", { channels: [{ channel: ROOM, state: 1 }] });
    expect(codeOf(again.data.channels[0])).toBeUndefined();
  });
});

describe("a custom limiter", () => {
  it("counts across the processes that share it", async () => {
    const limiter = new RateLimiterMemory({ points: 2, duration: 60 });
    const one = await simulate({ limiter }).client("ada-1", { user: "ada" });
    const other = await simulate({ limiter }).client("ada-2", { user: "ada" });
    expect([await letThrough(one), await letThrough(other)]).toEqual([2, 0]);
  });

  it("receives keys of a bounded length for names of any length", async () => {
    const keys: string[] = [];
    const limiter = { consume: async (key: string) => keys.push(key) };
    const ada = await simulate({ limiter }).client("ada-1", {
      user: "a".repeat(600),
      tenant: "t".repeat(600),
    });
    await publish(ada, `room:${"x".repeat(200)}`);
    expect(keys).toEqual([expect.stringMatching(/^streamer:.{43}$/)]);
  });

  it.each([
    [undefined, undefined],
    ["open", undefined],
    ["closed", "UNAVAILABLE"],
  ] as const)(
    "lets requests pass or refuses them on failure: onStoreFailure %s gives %s",
    async (onStoreFailure, code) => {
      const limiter = { consume: () => Promise.reject(new Error("no table")) };
      const { client, lines } = simulate({ limiter, ...(onStoreFailure && { onStoreFailure }) });
      expect(codeOf(await publish(await client("ada-1", { user: "ada" })))).toBe(code);
      expect(lines.join()).toContain("no table");
    },
  );
});
