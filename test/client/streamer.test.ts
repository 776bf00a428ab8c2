// Tests the client with the real Streamer over real sockets. Other tests use the model server instead.
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { z } from "zod";
import { type ClientOptions, createClient, type Subscription } from "../../src/client/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import type { Retention } from "../../src/store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";
import { FEATURES } from "./setup.ts";
import { TestClock } from "./test-clock.ts";

const ROOM = "room:lobby";
/** Channels of the namespaces without a schema. */
type Plain = `${"room" | "flash"}:${string}`;
const open = { subscribe: () => true, publish: () => true };

async function startServer(history: Retention = { size: 100, ageMs: 60_000 }) {
  const connectionStore = memoryConnectionStore();
  const store = memoryChannelStore();
  const streamer = createStreamer({
    channels: {
      room: { ...open, presence: true, history, maxBytes: 98_304 },
      flash: { ...open, delivery: "at-most-once" },
      show: { ...open, live: { graceMs: 0 } },
      quiet: { subscribe: () => true },
      line: { ...open, schema: z.object({ text: z.string().trim().min(1) }) },
    },
    schedule: memorySchedule(),
    store,
    connectionStore,
    auth: webSocketAuth({ validateToken: (token) => ({ userId: token, tenantId: "acme" }) }),
    logger: jsonLogger({ level: "error" }),
  });
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));

  const connections = async () => {
    const ids: string[] = [];
    for await (const { id } of connectionStore.listByTenant("acme")) ids.push(id);
    return ids;
  };
  return {
    gateway,
    store,
    connections,
    tick: () => streamer.app.tick(),
    publish: (data: string, channel: Plain = ROOM) => streamer.publish(channel, data, { tenantId: "acme" }),
    /** Ends the user's connections, as the service does after two hours. */
    cut: async (user: string) => {
      for await (const { id } of connectionStore.listByUser(user)) await gateway.disconnect(id);
    },
    client: (name: string, options: Partial<ClientOptions> = {}) => {
      const client = createClient<typeof streamer>({
        url: gateway.url,
        use: FEATURES,
        getToken: () => name,
        reconnectBaseMs: 10,
        ...options,
      });
      onTestFinished(() => client.disconnect());
      client.connect();
      return client;
    },
  };
}

// A busy machine is slow.
const eventually = (check: () => unknown) => vi.waitFor(check);
vi.setConfig({ testTimeout: 20_000 });

type Server = Awaited<ReturnType<typeof startServer>>;

/** A subscriber in the room, and the messages that it received. */
async function listener(server: Server, options: Partial<ClientOptions> = {}, channel: Plain = ROOM) {
  const client = server.client("bob", options);
  const received: unknown[] = [];
  const subscription: Subscription = client.subscribe(channel, {
    onMessage: ({ data }) => received.push(data),
    onRecovered: () => received.push("recovered"),
    onLost: ({ offset }) => received.push(`lost to ${offset}`),
  });
  await subscription.ready;
  return { client, received };
}

it("delivers other clients' messages, and resolves when a message is stored", async () => {
  const server = await startServer();
  const { received } = await listener(server);
  // Uses the WebSocket of `ws`; the other clients use Node's.
  const ada = server.client("ada", { WebSocket });
  const texts = Array.from({ length: 50 }, (_, at) => `${at}`);
  const stored = await Promise.all(texts.map((text) => ada.publish(ROOM, text)));
  expect(stored.map(({ position }) => position?.offset)).toEqual(texts.map((_, at) => at + 1));
  await eventually(() => expect(received).toEqual(texts));
});

it("publishes messages larger than a frame, in two channels at once, and rejects those over 128 KB", async () => {
  const server = await startServer();
  const { received } = await listener(server);
  const ada = server.client("ada");
  const texts = ['"\\\u{1F600}é'.repeat(9_000), "b".repeat(90_000)];
  await Promise.all([
    ...texts.map((text) => ada.publish(ROOM, text)),
    ada.publish("room:other", "c".repeat(90_000)),
  ]);
  await eventually(() => expect(received).toEqual(texts));
  await expect(ada.publish(ROOM, "d".repeat(100_000))).rejects.toMatchObject({
    code: "TOO_LARGE",
    message: "`data` has 100002 bytes; the namespace accepts at most 98304",
  });
  await expect(ada.publish(ROOM, "d".repeat(131_072))).rejects.toMatchObject({
    code: "TOO_LARGE",
    message: "The message is over 131072 bytes",
  });
});

it("publishes a schema's input, and delivers its output", async () => {
  const server = await startServer();
  const ada = server.client("ada");
  const received: string[] = [];
  await ada.subscribe("line:a", { onMessage: ({ data: { text } }) => received.push(text) }).ready;
  await expect(ada.publish("line:a", { text: " " })).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
    details: [{ path: ["text"], message: expect.any(String) }],
  });
  await ada.publish("line:a", { text: " hi " });
  await eventually(() => expect(received).toEqual(["hi"]));
});

it("gets all missed messages after the server cut the connection", async () => {
  const server = await startServer();
  const { client, received } = await listener(server);
  await server.publish("1");
  await eventually(() => expect(received).toEqual(["1"]));
  const back = new Promise<void>((resolve) => {
    client.onState(({ status }) => status === "connected" && resolve());
  });
  await server.cut("bob");
  for (const text of ["2", "3"]) await server.publish(text);
  await back;
  await server.publish("4");
  await eventually(() => expect(received).toEqual(expect.arrayContaining(["4", "recovered"])));
  expect(received.filter((one) => one !== "recovered")).toEqual(["1", "2", "3", "4"]);
});

it("reports a loss when history does not reach back, and continues", async () => {
  const server = await startServer({ size: 2, ageMs: 60_000 });
  const { client, received } = await listener(server);
  client.disconnect();
  for (const text of ["1", "2", "3"]) await server.publish(text);
  client.connect();
  await eventually(() => expect(received).toEqual(["lost to 3"]));
  await server.publish("4");
  await eventually(() => expect(received).toEqual(["lost to 3", "4"]));
});

it("neither loses nor duplicates messages when a second socket takes over", async () => {
  const server = await startServer();
  const clock = new TestClock();
  // Its time jumps: no answer of a real server would be there in time.
  const never = 2 ** 31 - 1;
  const patience = { heartbeatMs: never, connectTimeoutMs: never, requestTimeoutMs: never };
  const options = { ...patience, clock, random: () => 0 };
  const [room, flash] = [await listener(server, options), await listener(server, options, "flash:a")];
  const before = await server.connections();
  const texts = Array.from({ length: 200 }, (_, at) => `${at}`);
  const publishing = (async () => {
    for (const text of texts) {
      await Promise.all([server.publish(text), server.publish(text, "flash:a")]);
      if (text === "50") await clock.pass(115 * 60_000);
    }
  })();
  await eventually(async () => expect((await server.connections()).length).toBe(4));
  await publishing;
  await eventually(async () => {
    await clock.pass(5_000);
    expect((await server.connections()).length).toBe(2);
  });
  expect((await server.connections()).filter((id) => before.includes(id))).toEqual([]);
  await server.publish("end");
  await eventually(() => expect(room.received).toEqual([...texts, "end"]));
  await eventually(() => expect([...flash.received].sort()).toEqual([...texts].sort()));
});

describe("an at-most-once message that its publisher resent", () => {
  const FLASH = "flash:a";

  /** Lets `fail` follow the first hand-over, when every member was sent to. */
  function failOnce({ store }: Server, fail: () => Promise<void>): void {
    const listMembers = store.members.listMembers.bind(store.members);
    vi.spyOn(store.members, "listMembers").mockImplementationOnce(async function* (...args) {
      yield* listMembers(...args);
      await fail();
    });
  }

  it.each([
    ["its socket broke after the hand-over", (server: Server) => server.cut("ada")],
    ["the store failed on a later page of members", () => Promise.reject(new Error("throttled"))],
  ])("is delivered once: %s", async (_why, fail) => {
    const server = await startServer();
    const { received } = await listener(server, {}, FLASH);
    const ada = server.client("ada");
    const own: unknown[] = [];
    await ada.subscribe(FLASH, { onMessage: ({ data }) => own.push(data) }).ready;
    const broadcast = vi.spyOn(server.gateway, "broadcast");
    failOnce(server, () => fail(server));
    await ada.publish(FLASH, "fire!");
    expect(broadcast.mock.calls.filter(([, data]) => String(data).includes("fire!"))).toHaveLength(2);
    // A socket delivers in order: with the next message, all before it have come.
    await server.publish("next", FLASH);
    await eventually(() => expect(received.at(-1)).toBe("next"));
    await eventually(() => expect(own.at(-1)).toBe("next"));
    expect([received, own]).toEqual([
      ["fire!", "next"],
      ["fire!", "next"],
    ]);
  });
});

it("names the missing rule, and the first fault in the data, in its refusal", async () => {
  const server = await startServer();
  const ada = server.client("ada");
  await expect(ada.publish("quiet:a", 1)).rejects.toMatchObject({
    code: "FORBIDDEN",
    message: "No rule lets clients publish: set `channels.quiet.publish`",
  });
  await expect(ada.publish("line:a", { text: 7 } as never)).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
    message: "Invalid `data.text`: Invalid input: expected string, received number",
    details: [{ path: ["text"], message: "Invalid input: expected string, received number" }],
  });
});

it("keeps the users of a channel and their states", async () => {
  const server = await startServer();
  const members = server.client("ada").members(ROOM);
  await members.ready;
  const { client } = await listener(server);
  await client.setPresence(ROOM, { typing: true });
  await eventually(() => expect(members.users.get("bob")).toMatchObject({ state: { typing: true } }));
  const statuses: string[] = [];
  client.onState(({ status }) => statuses.push(status));
  await server.cut("bob");
  await eventually(() => expect(statuses).toEqual(["reconnecting", "connected"]));
  await eventually(() => expect(members.users.get("bob")).toMatchObject({ state: { typing: true } }));
  client.disconnect();
  await eventually(() => expect([...members.users.keys()]).toEqual(["ada"]));
});

it("keeps a live stream whose owner reconnects, and ends it when the owner leaves", async () => {
  const server = await startServer();
  const viewer = server.client("bob").stream("show:ada");
  const ada = server.client("ada");
  const own = ada.stream("show:ada");
  const ends: unknown[] = [];
  viewer.onChange(({ endReason }) => endReason && ends.push(endReason));
  await own.start({ title: "Bread" });
  await eventually(() => expect(viewer.live).toMatchObject({ user: "ada", data: { title: "Bread" } }));
  await eventually(() => expect(own.live).toEqual(viewer.live));
  // Back is who has an answer for the channel.
  const back = new Promise<void>((resolve) => {
    ada.onState(({ status }) => status === "connected" && own.onChange(() => resolve()));
  });
  await server.cut("ada");
  await back;
  await server.tick();
  expect([viewer.live?.user, ends]).toEqual(["ada", []]);
  ada.disconnect();
  await eventually(async () => expect(await server.connections()).toHaveLength(1));
  await eventually(async () => {
    await server.tick();
    expect([viewer.live, ends]).toEqual([undefined, ["owner_left"]]);
  });
});
