import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { createChat } from "./app.ts";

/** Events have their own times. */
const NOW = Date.now();
const MINUTE = 60_000;

/** A chat in memory. A token is `sub@tenant`, or `sub@` without a tenant, valid for an hour. Others are refused. */
function startChat() {
  let time = NOW;
  const now = () => time;
  const connectionStore = memoryConnectionStore({ now });
  const connections = recordingConnections();
  const chat = createChat({
    connectionStore,
    schedule: memorySchedule(),
    now,
    verify: async (token) => {
      const [sub, tenant] = token.split("@");
      if (!sub || tenant === undefined) throw new Error("forged");
      return { sub, tenant: tenant || undefined, expiresAt: NOW + 60 * MINUTE };
    },
  });
  const handle = chat.webSocketHandler({ connections });
  return {
    connectionStore,
    connections,
    /** Advances the clock and runs a tick. */
    pass: (ms: number) => {
      time += ms;
      return chat.tick();
    },
    connect: (connectionId: string, query: { [name: string]: string } = {}) =>
      handle(connectEvent({ connectionId, query, requestContext: { connectedAt: NOW } }), lambdaContext()),
    send: (connectionId: string, body: { action: string; [field: string]: unknown }) =>
      handle(messageEvent(body.action, body, { connectionId }), lambdaContext()),
    disconnect: (connectionId: string) => handle(disconnectEvent({ connectionId }), lambdaContext()),
    /** The frames of one type that were sent to a connection. */
    told: (connectionId: string, type: string) =>
      connections.jsonSentTo(connectionId).filter((frame) => (frame as { type: string }).type === type),
  };
}

let chat: ReturnType<typeof startChat>;

beforeEach(() => {
  chat = startChat();
  // Refusals are logged, and this test causes many.
  vi.spyOn(console, "warn").mockImplementation(() => {});
});

/** Connects users, each connection named after its user, and joins a room of their tenant. */
async function joinAs(room: string, ...tokens: string[]): Promise<void> {
  for (const token of tokens) {
    const [name = ""] = token.split("@");
    await chat.connect(name, { token });
    await chat.send(name, { action: "join", room });
  }
}

function lastRooms(connectionId: string): unknown {
  return (chat.told(connectionId, "presence").at(-1) as { rooms: unknown } | undefined)?.rooms;
}

describe("connecting", () => {
  it("sends an error and closes a connection whose token expires", async () => {
    await joinAs("lobby", "ada@acme");
    await chat.pass(59 * MINUTE);
    expect(chat.told("ada", "error")).toEqual([]);
    await chat.pass(2 * MINUTE);
    expect(chat.told("ada", "error")).toMatchObject([{ error: { code: "TOKEN_EXPIRED", retry: true } }]);
    expect(chat.connections.disconnected).toEqual(["ada"]);
  });

  it.each(["token", "Authorization"])("accepts a token in the parameter %s", async (parameter) => {
    expect((await chat.connect("1", { [parameter]: "ada@math" })).statusCode).toBe(200);
    expect(await chat.connectionStore.get("1")).toMatchObject({ userId: "ada", tenantId: "math" });
  });

  it("accepts a Bearer prefix, which clients use in headers", async () => {
    expect((await chat.connect("1", { Authorization: "Bearer ada@math" })).statusCode).toBe(200);
  });

  it.each([{}, { token: "" }, { token: "forged" }])(
    "refuses %j with 401 and stores no row",
    async (query) => {
      expect((await chat.connect("1", query)).statusCode).toBe(401);
      expect(await chat.connectionStore.count()).toBe(0);
    },
  );
});

describe("a room", () => {
  it("sends its members to everyone in the tenant", async () => {
    await joinAs("tea", "ada@math", "grace@math");
    await joinAs("ideas", "linus@math");
    const rooms = [
      { room: "tea", people: ["ada", "grace"], count: 2 },
      { room: "ideas", people: ["linus"], count: 1 },
    ];
    expect(lastRooms("ada")).toEqual(rooms);
    expect(lastRooms("linus")).toEqual(rooms);
  });

  it("receives its messages, including the sender, and no other room does", async () => {
    await joinAs("tea", "ada@math", "grace@math");
    await joinAs("ideas", "linus@math");
    await chat.send("ada", { action: "say", id: "m1", text: "hello" });
    const message = { type: "message", room: "tea", from: "ada", id: "m1", text: "hello" };
    expect(chat.told("ada", "message")).toEqual([expect.objectContaining(message)]);
    expect(chat.told("grace", "message")).toEqual([expect.objectContaining(message)]);
    expect(chat.told("linus", "message")).toEqual([]);
  });

  it("loses a member who joins another room or leaves", async () => {
    await joinAs("tea", "ada@math", "grace@math");
    await chat.send("ada", { action: "join", room: "ideas" });
    await chat.send("grace", { action: "leave" });
    expect(lastRooms("grace")).toEqual([{ room: "ideas", people: ["ada"], count: 1 }]);
    await chat.send("ada", { action: "say", id: "m1", text: "anyone?" });
    expect(chat.told("grace", "message")).toEqual([]);
  });

  it("loses a member whose connection ends", async () => {
    await joinAs("tea", "ada@math", "grace@math");
    await chat.disconnect("ada");
    expect(lastRooms("grace")).toEqual([{ room: "tea", people: ["grace"], count: 1 }]);
    expect(await chat.connectionStore.count()).toBe(1);
  });

  it("counts a user with two windows once, until both are closed", async () => {
    await joinAs("tea", "grace@math");
    for (const id of ["1", "2"]) {
      await chat.connect(id, { token: "ada@math" });
      await chat.send(id, { action: "join", room: "tea" });
    }
    expect(lastRooms("grace")).toEqual([{ room: "tea", people: ["grace", "ada"], count: 2 }]);
    await chat.disconnect("1");
    expect(lastRooms("grace")).toEqual([{ room: "tea", people: ["grace", "ada"], count: 2 }]);
    await chat.disconnect("2");
    expect(lastRooms("grace")).toEqual([{ room: "tea", people: ["grace"], count: 1 }]);
  });

  it("counts all users who join at the same moment", async () => {
    const names = ["ada", "grace", "linus"];
    await Promise.all(names.map((name) => chat.connect(name, { token: `${name}@math` })));
    await Promise.all(names.map((room) => chat.send(room, { action: "join", room: "tea" })));
    for (const name of names) expect(lastRooms(name)).toEqual([{ room: "tea", people: names, count: 3 }]);
  });
});

describe("an announcement", () => {
  it("reaches the whole tenant, in every room and in none", async () => {
    await joinAs("tea", "ada@math");
    await joinAs("ideas", "grace@math");
    await chat.connect("linus", { token: "linus@math" });
    await chat.send("ada", { action: "announce", id: "a1", text: "cake!" });
    for (const name of ["ada", "grace", "linus"]) {
      expect(chat.told(name, "announcement")).toEqual([
        expect.objectContaining({ from: "ada", id: "a1", text: "cake!" }),
      ]);
    }
  });
});

describe("a user without a tenant", () => {
  it("sees only their own windows", async () => {
    await joinAs("tea", "ada@", "bob@", "eve@math");
    await chat.connect("ada-2", { token: "ada@" });
    await chat.send("ada-2", { action: "join", room: "tea" });
    await chat.connect("namesake", { token: "ada@math" });
    await chat.send("namesake", { action: "join", room: "tea" });
    await chat.send("ada", { action: "say", id: "m1", text: "hello" });
    await chat.send("ada", { action: "announce", id: "a1", text: "hello" });
    for (const id of ["ada", "ada-2"]) {
      expect(chat.told(id, "message")).toEqual([expect.objectContaining({ id: "m1", from: "ada" })]);
      expect(chat.told(id, "announcement")).toHaveLength(1);
      expect(lastRooms(id)).toEqual([{ room: "tea", people: ["ada"], count: 1 }]);
    }
    for (const id of ["bob", "eve", "namesake"]) {
      expect([...chat.told(id, "message"), ...chat.told(id, "announcement")]).toEqual([]);
    }
  });
});

describe("two tenants", () => {
  it("see nothing of each other, with equal room and user names", async () => {
    await joinAs("tea", "ada@math");
    await chat.connect("spy", { token: "ada@physics" });
    await chat.send("spy", { action: "join", room: "tea" });
    await chat.send("ada", { action: "say", id: "m1", text: "secret" });
    await chat.send("ada", { action: "announce", id: "a1", text: "secret" });
    await chat.send("spy", { action: "say", id: "m2", text: "hm" });
    await chat.disconnect("ada");

    expect(chat.told("spy", "message")).toEqual([expect.objectContaining({ id: "m2" })]);
    expect(chat.told("spy", "announcement")).toEqual([]);
    // Only its own join.
    expect(chat.told("spy", "presence")).toHaveLength(1);
    expect(lastRooms("spy")).toEqual([{ room: "tea", people: ["ada"], count: 1 }]);
    expect(chat.told("ada", "message")).toEqual([expect.objectContaining({ id: "m1" })]);
  });

  it("are distinguished by the token and not by the message", async () => {
    await joinAs("tea", "ada@math");
    await chat.connect("spy", { token: "spy@physics" });
    await chat.send("spy", {
      action: "announce",
      id: "a1",
      text: "hi",
      tenant: "math",
      tenantId: "math",
      from: "ada",
    });
    expect(chat.told("ada", "announcement")).toEqual([]);
    expect(chat.told("spy", "announcement")).toEqual([expect.objectContaining({ from: "spy" })]);
  });
});

describe("invalid requests", () => {
  const fits = "x".repeat(4096);

  it("accepts a message of 4 KB", async () => {
    await joinAs("tea", "ada@math");
    await chat.send("ada", { action: "say", id: "m1", text: fits });
    expect(chat.told("ada", "message")).toHaveLength(1);
  });

  it.each([
    ["a byte more than 4 KB", { action: "say", id: "m1", text: `${fits}x` }],
    ["4 KB of characters that take more", { action: "say", id: "m1", text: "é".repeat(2049) }],
    ["an empty text", { action: "say", id: "m1", text: " \n" }],
    ["no id", { action: "say", text: "hello" }],
    ["a text that is none", { action: "announce", id: "m1", text: { html: "<b>" } }],
    ["a room without a name", { action: "join", room: " " }],
    ["a room's name of 65 characters", { action: "join", room: "r".repeat(65) }],
  ])("answers %s with an error frame and notifies nobody", async (_what, body) => {
    await joinAs("tea", "ada@math", "grace@math");
    await chat.send("ada", body);
    expect(chat.told("ada", "error")).toEqual([
      expect.objectContaining({ error: expect.objectContaining({ code: "VALIDATION_ERROR" }) }),
    ]);
    expect(chat.told("grace", "message")).toEqual([]);
    expect(lastRooms("grace")).toEqual([{ room: "tea", people: ["ada", "grace"], count: 2 }]);
  });

  it("answers a message outside a room with an error", async () => {
    await chat.connect("ada", { token: "ada@math" });
    await chat.send("ada", { action: "say", id: "m1", text: "hello?" });
    expect(chat.told("ada", "error")).toEqual([
      expect.objectContaining({
        request_id: "m1",
        error: expect.objectContaining({ code: "FORBIDDEN", message: "Join a room first" }),
      }),
    ]);
  });

  it("sends nothing for a connection that is not in the store", async () => {
    await joinAs("tea", "ada@math");
    const before = chat.told("ada", "presence").length;
    await chat.send("ghost", { action: "announce", id: "a1", text: "boo" });
    await chat.disconnect("ghost");
    expect(chat.told("ada", "announcement")).toEqual([]);
    expect(chat.told("ada", "presence")).toHaveLength(before);
  });
});
