import { describe, expect, it } from "vitest";
import { z } from "zod";
import { OPEN, simulateStreamer } from "../../test/streamer/simulation.ts";
import { webSocketAuth } from "../lift/middleware/auth/index.ts";
import { memoryChannelStore, memorySchedule } from "../store/memory/index.ts";
import { createStreamer, type Identity, type NamespaceOptions, type StreamerOptions } from "./index.ts";

const store = memoryChannelStore();

describe("options", () => {
  it.each([
    [{ store }, "`channels` is required: an object"],
    [{ channels: { room: {} } }, "`store` is required: a channel store"],
    [{ channels: { room: {} }, store: { ...store, members: {} } }, "`store` must be a channel store"],
    [{ channels: { room: {} }, store, rooms: 1 }, "Unknown option `rooms`; expected one of channels, store,"],
    [
      { channels: { room: {} }, store, maxSubscriptions: 0 },
      "`maxSubscriptions` must be an integer from 1; got 0",
    ],
    [{ channels: { room: {} }, store, auth: () => {} }, "`auth` must be the result of `webSocketAuth`"],
    [{ channels: { room: {} }, store, middleware: [1] }, "`middleware` must be an array of middleware"],
    [{ channels: { room: {} }, store, lifetimeMs: 0 }, "`lifetimeMs` must be a number of at least 1; got 0"],
    [{ channels: { "Room:a": {} }, store }, "`channels`: invalid namespace `Room:a`"],
    [{ channels: { __proto__: null, constructor: {}, "1": {} }, store }, "`channels`: invalid namespace `1`"],
    [{ channels: { room: null }, store }, "`channels.room` must be an object; got null"],
    [undefined, "Options must be an object; got nothing"],
  ])("createStreamer rejects %o", (options, message) => {
    expect(() => createStreamer(options as unknown as StreamerOptions)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  it("has no namespace in an application that only has long requests", async () => {
    const { streamer, client } = simulateStreamer({ channels: {} });
    streamer.request("greet", {}, () => "hello");
    const ada = await client("a");
    expect(await ada.send({ id: "1", action: "greet" })).toMatchObject([{ type: "response", data: "hello" }]);
    const payload = { channels: [{ channel: "room:a" }] };
    expect(await ada.send({ id: "2", action: "subscribe", payload })).toMatchObject([
      { data: { channels: [{ error: { code: "NOT_FOUND" } }] } },
    ]);
  });

  it.each([
    [{ deliver: 1 }, "Unknown option `channels.room.deliver`; expected one of delivery,"],
    [{ delivery: "exactly-once" }, "`channels.room.delivery` must be `at-most-once` or `at-least-once`"],
    [{ history: 100 }, "`channels.room.history` must be an object; got 100"],
    [{ history: { size: -1 } }, "`channels.room.history.size` must be an integer from 0; got -1"],
    [{ history: { ageMs: 0.5 } }, "`channels.room.history.ageMs` must be an integer from 0; got 0.5"],
    [
      { history: { length: 1 } },
      "Unknown option `channels.room.history.length`; expected one of size, ageMs",
    ],
    [
      { history: {}, delivery: "at-most-once" },
      '`channels.room.history` requires `delivery: "at-least-once"`',
    ],
    [{ presence: 1 }, "`channels.room.presence` must be true or false; got 1"],
    [{ subscribe: true }, "`channels.room.subscribe` must be a function; got true"],
    [{ publish: "all" }, "`channels.room.publish` must be a function; got a string"],
    [{ schema: {} }, "`channels.room.schema` must be a Standard Schema"],
    [{ stateSchema: null, presence: true }, "`channels.room.stateSchema` must be a Standard Schema"],
    [{ stateSchema: z.string() }, "`channels.room.stateSchema` requires `presence: true`"],
    [{ maxBytes: 0 }, "`channels.room.maxBytes` must be an integer from 1 to 98304; got 0"],
    [{ maxBytes: 98_305 }, "`channels.room.maxBytes` must be an integer from 1 to 98304; got 98305"],
    [{ rate: 5 }, "`channels.room.rate` must be an object; got 5"],
    [{ rate: { limit: 0, windowMs: 1 } }, "`channels.room.rate`: `limit` must be an integer from 1; got 0"],
    [
      { rate: { limit: 1, windowMs: 0 } },
      "`channels.room.rate`: `windowMs` must be a finite number of at least 1; got 0",
    ],
    [{ rate: { limiter: {} } }, "`channels.room.rate`: `limiter` must be an object with consume()"],
    [
      { rate: { by: "ip", limit: 1, windowMs: 1 } },
      "`channels.room.rate`: Unknown option `by`; expected one of",
    ],
    [{ rate: { limit: 1 } }, "`channels.room.rate`: A rate requires either `limit` and `windowMs`, or"],
    [{ rate: {} }, "`channels.room.rate`: A rate requires either `limit` and `windowMs`, or `limiter`"],
  ])("a namespace rejects %o", (room, message) => {
    const options = { channels: { room: room as NamespaceOptions }, store };
    expect(() => createStreamer(options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  it("accept their minimum and maximum values", () => {
    const channels = {
      room: { history: { size: 0, ageMs: 0 }, maxBytes: 1 },
      topic: { maxBytes: 98_304, presence: false },
    };
    expect(createStreamer({ channels, store, maxSubscriptions: 1 }).app.routeKeys).toContain("$default");
  });

  it("are described with their defaults", () => {
    const subscribe = () => true;
    const schema = z.string();
    const { namespaces, auth } = createStreamer({
      channels: { room: { subscribe, schema } },
      store,
    }).describe();
    expect([...namespaces]).toEqual([
      [
        "room",
        {
          retention: { size: 100, ageMs: 300_000 },
          presence: false,
          live: undefined,
          subscribe: [subscribe],
          publish: [],
          maxBytes: 16_384,
          maxBlobBytes: 0,
          rate: undefined,
          schema,
          stateSchema: undefined,
        },
      ],
    ]);
    expect(auth).toBe(false);
  });
});

describe("the rules of a namespace", () => {
  const codeOf = async (
    answer: Promise<{ error?: { code: string }; data?: { channels: { error?: { code: string } }[] } }>,
  ) => {
    const { error, data } = await answer;
    return error?.code ?? data?.channels?.[0]?.error?.code;
  };

  it("allow nobody by default", async () => {
    const { client } = simulateStreamer({ channels: { room: { presence: true } } });
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    const channel = "room:a";
    expect([
      await codeOf(ada.ask("subscribe", { channels: [{ channel }] })),
      await codeOf(ada.ask("publish", { channel, data: 1 })),
      await codeOf(ada.ask("history", { channel })),
      await codeOf(ada.ask("presence", { channel })),
      await codeOf(ada.ask("set_presence", { channel, state: 1 })),
    ]).toEqual(Array(5).fill("FORBIDDEN"));
  });

  it("are named by the error that refuses a client", async () => {
    const never = () => false;
    const { client } = simulateStreamer({
      channels: {
        room: { live: true, presence: true },
        hall: { subscribe: never, publish: never },
        user: { subscribe: () => true },
        tenant: { subscribe: never },
      },
      schedule: memorySchedule(),
    });
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    const messageOf = async (...asked: Parameters<typeof ada.ask>) => (await ada.ask(...asked)).error.message;
    expect([
      await messageOf("publish", { channel: "room:a", data: 1 }),
      await messageOf("stream_start", { channel: "room:a" }),
      await messageOf("history", { channel: "room:a" }),
      await messageOf("presence", { channel: "room:a" }),
      await messageOf("publish", { channel: "hall:a", data: 1 }),
      await messageOf("history", { channel: "hall:a" }),
      await messageOf("history", { channel: "user:eve" }),
      await messageOf("history", { channel: "tenant:other" }),
      await messageOf("history", { channel: "tenant:acme" }),
      await messageOf("publish", { channel: "user:ada", data: 1 }),
    ]).toEqual([
      "No rule lets clients publish: set `channels.room.publish`",
      "No rule lets clients publish: set `channels.room.publish`",
      "No rule lets clients subscribe: set `channels.room.subscribe`",
      "No rule lets clients subscribe: set `channels.room.subscribe`",
      "The rule `channels.hall.publish` does not allow it",
      "The rule `channels.hall.subscribe` does not allow it",
      "Only the channel's user may do this",
      "Only the tenant's members may do this",
      "The rule `channels.tenant.subscribe` does not allow it",
      "No rule lets clients publish: set `channels.user.publish`",
    ]);
  });

  it("receive the identity and the channel, and allow only with true", async () => {
    const asked: unknown[] = [];
    let answer: unknown = true;
    const subscribe = (...args: unknown[]) => {
      asked.push(args);
      return answer as boolean;
    };
    const { client } = simulateStreamer({ channels: { room: { subscribe } } });
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    const nobody = await client("nobody");
    const history = (who = ada) => codeOf(who.ask("history", { channel: "room:a:b" }));
    expect([await history(), await history(nobody)]).toEqual([undefined, undefined]);
    const name = { namespace: "room", name: "a:b" };
    expect(asked).toEqual([
      [{ userId: "ada", tenantId: "acme", roles: [], permissions: [] }, name],
      [{ roles: [], permissions: [] }, name],
    ]);
    for (answer of [1, "yes", {}, undefined, Promise.resolve(false)])
      expect(await history()).toBe("FORBIDDEN");
  });

  it("receive the roles and permissions of a token", async () => {
    const identities: Identity[] = [];
    const { client } = simulateStreamer({
      channels: { room: { subscribe: (identity) => identities.push(identity) > 0 } },
      middleware: [],
      auth: webSocketAuth({
        validateToken: (userId) => ({ userId, tenantId: "acme", roles: ["admin"], permissions: ["read"] }),
      }),
    });
    const ada = await client("ada-1", { token: "ada" });
    expect(await codeOf(ada.ask("history", { channel: "room:a" }))).toBeUndefined();
    expect(identities).toEqual([
      { userId: "ada", tenantId: "acme", roles: ["admin"], permissions: ["read"] },
    ]);
  });

  it("restrict user: to its user and tenant: to its members, and can only narrow that", async () => {
    const { client } = simulateStreamer({
      channels: { user: {}, tenant: { subscribe: ({ userId }) => userId !== "eve", publish: () => true } },
    });
    const ada = await client("ada-1", { user: "ada", tenant: "acme" });
    const eve = await client("eve-1", { user: "eve", tenant: "acme" });
    const nobody = await client("nobody");
    const history = (who: typeof ada, channel: string) => codeOf(who.ask("history", { channel }));
    expect(await history(ada, "user:ada")).toBeUndefined();
    expect(await history(ada, "tenant:acme")).toBeUndefined();
    for (const [who, channel] of [
      [ada, "user:eve"],
      [ada, "tenant:other"],
      [eve, "tenant:acme"],
      [nobody, "user:undefined"],
      [nobody, "tenant:undefined"],
      [nobody, "tenant:null"],
    ] as const) {
      expect(await history(who, channel)).toBe("FORBIDDEN");
    }
    expect(await codeOf(ada.ask("publish", { channel: "user:ada", data: 1 }))).toBe("FORBIDDEN");
    expect(await codeOf(ada.ask("publish", { channel: "tenant:acme", data: 1 }))).toBeUndefined();
  });

  it("refuse with the code that they throw", async () => {
    const { client, lines } = simulateStreamer({
      channels: {
        room: {
          ...OPEN,
          publish: () => {
            throw new Error("password is hunter2");
          },
        },
      },
    });
    const ada = await client("ada-1");
    const answer = await ada.ask("publish", { channel: "room:a", data: 1 });
    expect(answer.error).toEqual({ code: "INTERNAL_ERROR", message: "Internal server error", retry: false });
    expect(lines.join()).toContain("hunter2");
  });
});
