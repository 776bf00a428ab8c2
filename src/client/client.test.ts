import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ModelServer } from "../../test/client/model-server.ts";
import { connected, FEATURES, setup } from "../../test/client/setup.ts";
import type { TestClock } from "../../test/client/test-clock.ts";
import { tokenLifetime } from "./connection/credentials.ts";
import { blobs, type Client, type ClientOptions, createClient, outbox, presence } from "./index.ts";
import { MESSAGE, MessageHandlers } from "./requests/message-handlers.ts";

/** Creates a client of another user. */
function clientOf(user: string, server: ModelServer, clock: TestClock) {
  return createClient({
    url: `ws://model/?user=${user}`,
    WebSocket: server.WebSocket,
    clock,
    use: FEATURES,
  });
}

describe("requests", () => {
  it("returns a page of history", async () => {
    const { client, clock, server } = await connected();
    for (const data of [1, 2, 3]) server.publish("room:a", data);
    const page = client.history("room:a", { before: 3, limit: 1 });
    await clock.pass(10);
    expect(await page).toMatchObject({ messages: [{ data: 2 }], more: true, position: { offset: 3 } });
  });

  it("returns the users in a channel", async () => {
    const { client, clock } = await connected({ url: "ws://model/?user=ada" });
    client.subscribe("room:a");
    await clock.pass(10);
    const present = client.presence("room:a");
    await clock.pass(10);
    expect(await present).toMatchObject({ users: [{ user: "ada" }], more: false });
  });

  it("returns the users after a user id", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    client.subscribe("room:a");
    clientOf("bea", server, clock).connect();
    await clock.pass(10);
    const present = client.presence("room:a", { after: "ada" });
    await clock.pass(10);
    expect(await present).toMatchObject({ users: [], more: false });
  });

  it("resends an unanswered request on the next socket", async () => {
    const { client, clock, server } = await connected();
    server.publish("room:a", 1);
    server.opened[0]!.stalled = true;
    const page = client.history("room:a");
    await clock.pass(10);
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(await page).toMatchObject({ messages: [{ data: 1 }] });
  });

  it("rejects after its timeout or with its signal, and leaves no timer", async () => {
    const { client, clock, server } = await connected();
    const before = clock.pending;
    server.opened[0]!.stalled = true;
    const late = expect(client.history("room:a", { timeoutMs: 500 })).rejects.toMatchObject({
      code: "TIMEOUT",
      retry: true,
    });
    const controller = new AbortController();
    const aborted = expect(client.presence("room:a", { signal: controller.signal })).rejects.toMatchObject({
      code: "ABORTED",
    });
    await clock.pass(600);
    controller.abort();
    await clock.pass(10);
    await Promise.all([late, aborted]);
    expect(clock.pending).toBe(before);
  });

  it("rejects at once without a connection that could answer", async () => {
    const { client, clock } = await connected();
    const asked = expect(client.history("room:a")).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
    client.disconnect();
    await clock.pass(0);
    await asked;
    await expect(client.history("room:a")).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  });

  it("rejects with the server's error", async () => {
    const { client, clock, server } = await connected();
    server.intercept = ({ action }) => (action === "history" ? "FORBIDDEN" : undefined);
    const refused = expect(client.history("room:a")).rejects.toMatchObject({
      name: "ClientError",
      code: "FORBIDDEN",
    });
    await clock.pass(10);
    await refused;
  });
});

describe("presence", () => {
  it("keeps a channel's users and their states through joins, updates and leaves", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const members = client.members("room:a");
    const counts: number[] = [];
    await clock.pass(10);
    await members.ready;
    members.onChange(({ users }) => counts.push(users.size));
    const bea = clientOf("bea", server, clock);
    bea.subscribe("room:a", { state: { typing: false } });
    bea.connect();
    await clock.pass(10);
    expect([...members]).toMatchObject([{ user: "ada" }, { user: "bea", state: { typing: false } }]);
    const set = bea.setPresence("room:a", { typing: true });
    await clock.pass(10);
    await set;
    expect(members.users.get("bea")).toMatchObject({ state: { typing: true } });
    bea.disconnect();
    await clock.pass(10);
    expect([...members.users.keys()]).toEqual(["ada"]);
    expect(counts).toEqual([2, 2, 1]);
  });

  it("lists all users when they need more than one frame", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const names = ["bea", "cy", "dan", "eve"];
    const clients = names.map((name) => {
      const other = clientOf(name, server, clock);
      other.subscribe("room:a");
      other.connect();
      return other;
    });
    await clock.pass(10);
    server.pageSize = 2;
    let asked = 0;
    server.intercept = ({ action }) => {
      // A user of the first page leaves before the client requests the second page.
      if (action === "presence" && ++asked === 2) clients[0]!.disconnect();
      return undefined;
    };
    const members = client.members("room:a");
    await clock.pass(100);
    expect(asked).toBe(3);
    expect([...members.users.keys()]).toEqual(["ada", "cy", "dan", "eve"]);
  });

  it("is correct again after a lost connection", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const bea = clientOf("bea", server, clock);
    bea.connect();
    bea.subscribe("room:a");
    await clock.pass(10);
    const members = client.members("room:a");
    await clock.pass(10);
    expect([...members.users.keys()].sort()).toEqual(["ada", "bea"]);
    server.opened[0]!.cut();
    bea.disconnect();
    await clock.pass(5_000);
    expect([...members.users.keys()]).toEqual(["ada"]);
  });

  it("is correct again with the next heartbeat after a lost join message", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada", heartbeatMs: 10_000 });
    const members = client.members("room:a");
    await clock.pass(10);
    server.faults.drop = 1;
    const bea = clientOf("bea", server, clock);
    bea.connect();
    bea.subscribe("room:a");
    await clock.pass(10);
    server.faults.drop = 0;
    expect([...members.users.keys()]).toEqual(["ada"]);
    await clock.pass(10_000);
    expect([...members.users.keys()].sort()).toEqual(["ada", "bea"]);
  });

  it("ignores late messages, and applies those that arrive during a request", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const members = client.members("room:a");
    await clock.pass(10);
    const event = (id: string, kind: "join" | "leave", at: number) =>
      server.broadcast("room:a", { type: "presence", id, channel: "room:a", event: kind, user: "cy", at });
    event("1", "leave", 2_000_000_000_000);
    event("2", "join", 1_999_999_999_999);
    await clock.pass(10);
    expect([...members.users.keys()]).toEqual(["ada"]);
    event("3", "join", 2_000_000_000_001);
    event("3", "join", 2_000_000_000_001);
    await clock.pass(10);
    expect([...members.users.keys()]).toEqual(["ada", "cy"]);
    // The response has no other users, but is older than the event that arrives before it.
    server.faults.latency = [100, 100];
    server.opened[0]!.cut();
    server.intercept = ({ action }) => {
      if (action === "presence") event("4", "join", 2_000_000_000_002);
      return undefined;
    };
    await clock.pass(5_000);
    expect([...members.users.keys()]).toEqual(["ada", "cy"]);
  });

  it("keeps its list over a reconnect, and stops changing after close", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const members = client.members("room:a");
    // Set it before the server has confirmed the channel: it is part of the subscription or waits for it.
    const set = client.setPresence("room:a", "here");
    await clock.pass(10);
    await set;
    server.states.clear();
    server.opened[0]!.cut();
    await clock.pass(5_000);
    expect(server.states.get("ada")).toBe("here");
    members.close();
    await clock.pass(10);
    expect(server.actions.at(-1)).toBe("unsubscribe");
  });

  it("ignores a leave that is older than the list", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const bea = clientOf("bea", server, clock);
    bea.connect();
    const members = client.members("room:a");
    await clock.pass(10);
    bea.subscribe("room:a");
    await clock.pass(10);
    const at = clock.now();
    server.opened[0]!.cut();
    await clock.pass(5_000);
    server.broadcast("room:a", {
      type: "presence",
      id: "1",
      channel: "room:a",
      event: "leave",
      user: "bea",
      at,
    });
    await clock.pass(10);
    expect([...members.users.keys()].sort()).toEqual(["ada", "bea"]);
  });

  it("reports no error of a list that was closed", async () => {
    const { client, clock, server, errors } = await connected({ url: "ws://model/?user=ada" });
    const members = client.members("room:a");
    server.intercept = ({ action }) => {
      if (action !== "presence") return undefined;
      members.close();
      return "FORBIDDEN";
    };
    await clock.pass(10);
    expect([server.actions.includes("presence"), errors]).toEqual([true, []]);
  });

  it("waits for the next connection when this one closes, and rejects when the server refuses the list", async () => {
    const { client, clock, server, errors } = await connected({ url: "ws://model/?user=ada" });
    client.subscribe("room:a");
    await clock.pass(10);
    const members = client.members("room:a");
    client.disconnect();
    await clock.pass(10);
    client.connect();
    await clock.pass(10);
    await members.ready;
    expect([[...members.users.keys()], errors]).toEqual([["ada"], []]);
    server.intercept = ({ action }) => (action === "presence" ? "FORBIDDEN" : undefined);
    const refused = expect(client.members("room:a").ready).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(10);
    await refused;
    expect(errors).toMatchObject([{ code: "FORBIDDEN" }]);
  });

  it("rejects when the server refuses the channel", async () => {
    const { client, clock } = await connected();
    const refused = expect(client.members("secret:a").ready).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(10);
    await refused;
  });
});

describe("a user's presence state", () => {
  const joined = async (options = {}) => {
    const all = await connected({ url: "ws://model/?user=ada", ...options });
    all.client.subscribe("room:a");
    await all.clock.pass(10);
    return all;
  };
  /** Delays the subscription of the next socket, so that other requests overtake it. */
  const subscribing = async ({ clock, server, client }: Awaited<ReturnType<typeof joined>>) => {
    const sockets = server.opened.length;
    server.faults.latency = [50, 50];
    const isThere = () => server.opened.at(-1)!.open && client.state.status === "connected";
    for (let ms = 0; ms < 20_000 && !(server.opened.length > sockets && isThere()); ms++) await clock.pass(1);
    server.faults.latency = [1, 1];
  };

  it("waits for the channel on the next socket, and sends only the latest state, once", async () => {
    const all = await joined();
    const { client, clock, server } = all;
    server.opened[0]!.cut();
    await subscribing(all);
    const set = ["away", "back"].map((state) => client.setPresence("room:a", state));
    await clock.pass(500);
    await Promise.all(set);
    expect(server.requests.slice(-2)).toMatchObject([
      { action: "subscribe" },
      { action: "set_presence", payload: { state: "back" } },
    ]);
  });

  it("is part of the subscription on the next socket", async () => {
    const { client, clock, server } = await joined();
    server.opened[0]!.cut();
    await clock.pass(5);
    const set = client.setPresence("room:a", "away");
    await clock.pass(5_000);
    await set;
    expect(server.requests.slice(1)).toMatchObject([{ action: "subscribe", payload: {} }]);
    expect(server.states.get("ada")).toBe("away");
  });

  it("is the latest even if a replacing socket subscribed with an earlier state", async () => {
    const all = await joined({ maxConnectionMs: 10_000 });
    const { client, clock, server } = all;
    const before = client.setPresence("room:a", "here");
    await clock.pass(10);
    await before;
    await subscribing(all);
    const set = client.setPresence("room:a", "away");
    await clock.pass(10);
    await set;
    expect(server.states.get("ada")).toBe("away");
    await clock.pass(100);
    expect(server.actions.slice(-3)).toEqual(["set_presence", "subscribe", "set_presence"]);
    expect(server.states.get("ada")).toBe("away");
  });

  it("comes from a second subscription to a subscribed channel, and reports its refusal", async () => {
    const { client, clock, server, errors } = await joined();
    client.subscribe("room:a", { state: "away" });
    await clock.pass(10);
    expect([server.states.get("ada"), server.actions.at(-1)]).toEqual(["away", "set_presence"]);
    server.intercept = ({ action }) => (action === "set_presence" ? "FORBIDDEN" : undefined);
    client.subscribe("room:a", { state: "here" });
    await clock.pass(10);
    expect([server.states.get("ada"), errors]).toMatchObject(["away", [{ code: "FORBIDDEN" }]]);
  });

  it("stays cleared on the next socket", async () => {
    const { client, clock, server } = await joined();
    void client.setPresence("room:a", "here");
    await clock.pass(10);
    server.opened[0]!.cut();
    await clock.pass(5);
    const set = client.setPresence("room:a", undefined);
    await clock.pass(5_000);
    await set;
    expect(server.states.get("ada")).toBeUndefined();
  });

  it("comes from a second subscription made while the first is pending", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    client.subscribe("room:a");
    await Promise.resolve();
    client.subscribe("room:a", { state: "here" });
    await clock.pass(10);
    expect(server.states.get("ada")).toBe("here");
  });

  it("is not refused because of an earlier state", async () => {
    const { client, clock, server } = await joined();
    server.intercept = ({ action, payload }) =>
      action === "set_presence" && payload.state === "bad" ? "VALIDATION_ERROR" : undefined;
    const refused = expect(client.setPresence("room:a", "bad")).rejects.toMatchObject({
      code: "VALIDATION_ERROR",
    });
    await clock.pass(1);
    const set = client.setPresence("room:a", "good");
    await clock.pass(100);
    await Promise.all([refused, set]);
    expect(server.states.get("ada")).toBe("good");
  });

  it("keeps its last accepted value when the server refuses a new one, also on the next socket", async () => {
    const { client, clock, server } = await joined();
    const before = client.setPresence("room:a", "here");
    await clock.pass(10);
    await before;
    server.intercept = ({ payload }) =>
      JSON.stringify(payload).includes("bad") ? "VALIDATION_ERROR" : undefined;
    const refused = ["bad", "as bad"].map((state) =>
      expect(client.setPresence("room:a", state)).rejects.toMatchObject({ code: "VALIDATION_ERROR" }),
    );
    await clock.pass(10);
    await Promise.all(refused);
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(server.requests.at(-1)).toMatchObject({
      payload: { channels: [{ channel: "room:a", state: "here" }] },
    });
  });

  it("rejects a state that is not JSON, and still resubscribes the channel", async () => {
    const { client, clock, server } = await joined();
    const notJson = { code: "NOT_JSON", retry: false };
    await expect(client.setPresence("room:a", 1n as never)).rejects.toMatchObject(notJson);
    expect(() => client.subscribe("room:a", { state: 1n as never })).toThrow(
      expect.objectContaining(notJson),
    );
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(server.opened[1]!.channels).toEqual(new Set(["room:a"]));
  });

  it("is refused by the server when the user has left the channel before its turn", async () => {
    const { client, clock, server } = await connected({ url: "ws://model/?user=ada" });
    const subscription = client.subscribe("room:a");
    await clock.pass(10);
    server.faults.drop = 1;
    client.setPresence("room:a", "away").catch(() => {});
    const refused = expect(client.setPresence("room:a", "here", { timeoutMs: 60_000 })).rejects.toMatchObject(
      { code: "FORBIDDEN" },
    );
    await clock.pass(10);
    server.faults.drop = 0;
    subscription.unsubscribe();
    await clock.pass(20_000);
    await refused;
  });

  it("is refused by the server in a channel that the user is not in", async () => {
    const { client, clock } = await joined();
    const refused = expect(client.setPresence("room:b", "here")).rejects.toMatchObject({ code: "FORBIDDEN" });
    await clock.pass(10);
    await refused;
  });
});

describe("options", () => {
  const wrong: { [what: string]: object } = {
    "an unknown option": { tokens: "a" },
    "an invalid url": { url: "/ws" },
    "a url of another protocol": { url: "https://example.com" },
    "a url of another protocol, with ws: in its query": { url: "https://example.com/?next=ws:" },
    "two credentials": { token: "opaque-credential", getToken: () => "opaque-credential" },
    "a getToken that is not a function": { getToken: "opaque-credential" },
    "a time that is not an integer": { heartbeatMs: 1_500.5 },
    "too short a time": { heartbeatMs: 999 },
    "a time over the limit of timers": { maxConnectionMs: 2 ** 31 },
    "a feature that is not called": { use: [blobs] },
    "features that are not a list": { use: blobs() },
    "a cap below its base": { reconnectBaseMs: 1_000, reconnectMaxMs: 999 },
  };

  it.each(Object.entries(wrong))("refuses %s", (_what, options) => {
    expect(() => setup(options as Partial<ClientOptions>)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it("treats undefined as absent", () => {
    const { WebSocket } = setup().server;
    const options = { url: "ws://model/", WebSocket, heartbeatMs: undefined, clock: undefined };
    expect(() => createClient(options as never)).not.toThrow();
  });
});

describe("a feature", () => {
  it.each([
    ["members", "presence", (client: Client) => client.members("room:a")],
    ["presence", "presence", (client: Client) => client.presence("room:a")],
    ["setPresence", "presence", (client: Client) => client.setPresence("room:a", 1)],
    ["onPresence", "presence", (client: Client) => client.subscribe("room:a", { onPresence() {} })],
    ["state", "presence", (client: Client) => client.subscribe("room:a", { state: null })],
    ["stream", "streams", (client: Client) => client.stream("room:a")],
    ["upload", "blobs", (client: Client) => client.upload("room:a", new Blob([]))],
    ["download", "blobs", (client: Client) => client.download("room:a", "b")],
  ])("is named by %s, which needs it: %s", (name, feature, call) => {
    const { client } = setup({ use: [] });
    const message = `\`${name}\` needs createClient({ use: [${feature}()] })`;
    expect(() => call(client)).toThrow(expect.objectContaining({ code: "FEATURE_MISSING", message }));
  });

  it("leaves out only its own methods", async () => {
    const { client, clock } = await connected({ use: [presence()] });
    expect(() => client.stream("room:a")).toThrow("streams()");
    const members = client.members("room:a");
    await clock.pass(10);
    await expect(members.ready).resolves.toBeUndefined();
  });

  it("may be used by several clients", async () => {
    const use = [presence()];
    const [one, other] = [await connected({ use }), await connected({ use })];
    one.server.states.set("ada", 1);
    const members = other.client.members("room:a");
    await other.clock.pass(10);
    await members.ready;
    expect([one.server.actions, other.server.actions]).toEqual([[], ["subscribe", "presence"]]);
  });

  it.each([undefined, {}, { load: () => [] }])("refuses a storage without `load` and `save`", (storage) => {
    expect(() => outbox(storage as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  it("ignores the messages of one that is missing", async () => {
    const { client, clock, server } = await connected({ use: [] });
    const subscription = client.subscribe("room:a");
    await clock.pass(10);
    server.sendStreamMessage("room:a", { type: "viewers", count: 1 });
    server.broadcast("room:a", {
      type: "presence",
      id: "p1",
      channel: "room:a",
      event: "join",
      user: "bea",
      at: 1,
    });
    await clock.pass(10);
    await subscription.ready;
    expect(client.state.status).toBe("connected");
  });
});

describe("a server's message", () => {
  it("never makes the parser throw, and needs its required fields", () => {
    const field = fc.oneof(
      fc.constantFrom("response", "error", "message", "presence"),
      fc.jsonValue(),
      fc.record({ code: fc.string(), retry: fc.boolean(), epoch: fc.string(), offset: fc.integer() }),
    );
    const handlers = new MessageHandlers();
    handlers.on("message", MESSAGE, () => {});
    const names = ["type", "request_id", "data", "error", "id", "channel", "at", "position", "user"];
    const fields = fc.dictionary(fc.constantFrom(...names), field).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fields), (data) => {
        const message = handlers.parse(data);
        if (message?.type === "response") expect(typeof message.request_id).toBe("string");
        if (message?.type === "error") expect(typeof message.error.retry).toBe("boolean");
        if (message?.type === "message") expect([message.id, message.channel].join()).toBeTypeOf("string");
      }),
    );
    expect(handlers.parse(new Blob(["{}"]))).toBeUndefined();
  });

  it("is ignored when it is not a message of the protocol", async () => {
    const { client, clock, server } = await connected();
    const seen: unknown[] = [];
    client.subscribe("room:a", { onMessage: ({ data }) => seen.push(data) });
    await clock.pass(10);
    for (const message of [{ message: "Internal server error" }, { type: "news" }, { type: "message" }]) {
      server.opened[0]!.deliver(message as never);
    }
    server.publish("room:a", 1);
    await clock.pass(10);
    expect([seen, client.state.status]).toEqual([[1], "connected"]);
  });
});

describe("a response", () => {
  it.each([null, "page", undefined])(
    "answers no request of the client's own with the data %j",
    async (data) => {
      const { client, clock, server } = await connected();
      server.publish("room:a", 1);
      const page = client.history("room:a");
      server.opened[0]!.deliver({ type: "response", request_id: "~1", success: true, data: data as never });
      await clock.pass(10);
      expect(await page).toMatchObject({ messages: [{ data: 1 }] });
    },
  );
});

describe("a token's lifetime", () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const jwt = (payload: unknown) => `e30.${encode(payload)}.x`;
  const exp = 1_800_000_000;
  const expiry = exp * 1_000;

  it("is read from a JWT only", () => {
    expect(tokenLifetime(jwt({ exp, name: "Zoë ~~~???" }), expiry - 7_000)).toBe(7_000);
    for (const token of [undefined, "", "a.b.c", "opaque", jwt({ exp: "soon" }), jwt({}), jwt(null)]) {
      expect(tokenLifetime(token, expiry)).toBeNaN();
    }
  });

  it.each([
    ["the remaining time, by a clock that may be right", -60_000, 60_000],
    ["the whole lifetime, by a clock that is an hour behind", -3_900_000, 300_000],
    ["the whole lifetime, by a clock that is an hour ahead", 3_300_000, 300_000],
    ["the whole lifetime, at its expiry", 0, 300_000],
  ])("is %s", (_what, now, lifetime) => {
    expect(tokenLifetime(jwt({ iat: exp - 300, exp }), expiry + now)).toBe(lifetime);
  });

  it("is the remaining time when `iat` is unusable", () => {
    expect(tokenLifetime(jwt({ iat: expiry, exp }), expiry - 60_000)).toBe(60_000);
    expect(tokenLifetime(jwt({ iat: "now", exp }), expiry - 60_000)).toBe(60_000);
  });
});
