import { afterEach, describe, expect, it, vi } from "vitest";
import { connected, jwt, setup } from "../../../test/client/setup.ts";

const MINUTE = 60_000;

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("connecting", () => {
  it("goes from idle over connecting to connected", async () => {
    const { client, clock, statuses } = setup();
    expect(client.state).toEqual({ status: "idle" });
    client.connect();
    client.connect();
    await clock.pass(10);
    expect(statuses).toEqual(["connecting", "connected"]);
  });

  it("puts the token into the query, beside what is there", async () => {
    const { server } = await connected({ url: "wss://model/dev?v=1", token: "opaque-credential" });
    expect(server.opened[0]!.url.search).toBe("?v=1&token=opaque-credential");
  });

  it("puts a ticket into the query, a new one for every connection", async () => {
    let tickets = 0;
    const { server, clock } = await connected({ getTicket: async () => `t${++tickets}` });
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(server.opened.map(({ url }) => url.search)).toEqual(["?ticket=t1", "?ticket=t2"]);
  });

  it("leaves no timer and no socket behind when it disconnects, whatever it was doing", async () => {
    const { client, clock, server, statuses } = await connected();
    client.subscribe("room:a");
    await clock.pass(10);
    client.disconnect();
    await clock.pass(10);
    expect([clock.pending, server.sockets.size, statuses.at(-1)]).toEqual([0, 0, "idle"]);
    client.connect();
    client.disconnect();
    await clock.pass(10);
    expect([clock.pending, server.sockets.size]).toEqual([0, 0]);
  });

  it("leaves nothing behind when it disconnects as soon as it is connected, or while a token is asked for", async () => {
    const early = setup();
    early.client.onState(({ status }) => status === "connected" && early.client.disconnect());
    early.client.subscribe("room:a");
    early.client.connect();
    await early.clock.pass(10);
    expect([early.clock.pending, early.server.sockets.size]).toEqual([0, 0]);
    const asking = setup({ getToken: () => new Promise<string>(() => {}) });
    asking.client.connect();
    await asking.clock.pass(10);
    asking.client.disconnect();
    await asking.clock.pass(10);
    expect([asking.clock.pending, asking.errors, asking.statuses]).toEqual([0, [], ["connecting", "idle"]]);
  });

  it("connects again after it disconnected, with its subscriptions", async () => {
    const { client, clock, server } = await connected();
    const seen: unknown[] = [];
    client.subscribe("room:a", { onMessage: ({ data }) => seen.push(data) });
    await clock.pass(10);
    client.disconnect();
    server.publish("room:a", 1);
    client.connect();
    await clock.pass(10);
    expect(seen).toEqual([1]);
  });

  it("gives a socket up that does not open in time", async () => {
    const { client, clock, server } = setup({ connectTimeoutMs: 1_000 });
    client.connect();
    await clock.pass(0);
    server.opened[0]!.stalled = true;
    await clock.pass(2_000);
    expect(server.opened).toHaveLength(2);
    expect(client.state.status).toBe("connected");
  });
});

describe("coming back", () => {
  it("tells everybody last of the state it is in, also when one of them has changed it", async () => {
    const { client, clock, server, statuses } = await connected();
    const after: string[] = [];
    client.onState(({ status }) => {
      if (status === "reconnecting") client.disconnect();
    });
    client.onState(({ status }) => after.push(status));
    server.opened[0]!.cut();
    await clock.pass(10);
    expect([statuses.slice(-2), after]).toEqual([["reconnecting", "idle"], ["idle"]]);
  });

  it("waits a random part of a doubled and capped time, and says when it tries", async () => {
    const { client, clock, server } = await connected({ reconnectBaseMs: 100, reconnectMaxMs: 1_000 });
    server.upgrade = () => false;
    const waits: number[] = [];
    client.onState((state) => {
      if (state.status === "reconnecting") waits.push(state.at - clock.now());
    });
    server.opened[0]!.cut();
    await clock.pass(5_000);
    expect(waits.slice(0, 7)).toEqual([50, 100, 200, 400, 500, 500, 500]);
    expect(client.state).toMatchObject({ status: "reconnecting", error: { code: "CONNECT_FAILED" } });
  });

  it.each([
    [0, [0, 0, 0, 0]],
    [0.2, [20, 40, 80, 160]],
    [0.9, [90, 180, 360, 720]],
  ])(
    "does not wait as long as other clients that were cut off with it: by the chance %d",
    async (chance, expected) => {
      const random = () => chance;
      const { client, clock, server } = await connected({
        reconnectBaseMs: 100,
        reconnectMaxMs: 1_000,
        random,
      });
      server.upgrade = () => false;
      const waits: number[] = [];
      client.onState((state) => {
        if (state.status === "reconnecting") waits.push(Math.round(state.at - clock.now()));
      });
      server.opened[0]!.cut();
      await clock.pass(5_000);
      expect(waits.slice(0, 4)).toEqual(expected);
    },
  );

  it.each([
    [0, 20_000],
    [1, 18_000],
  ])("renews a connection before its time by a part of it: by the chance %d", async (chance, after) => {
    const { clock, server } = await connected({ maxConnectionMs: 20_000, random: () => chance });
    await clock.pass(after - 20);
    expect(server.opened).toHaveLength(1);
    await clock.pass(40);
    expect(server.opened).toHaveLength(2);
  });

  it.each([
    [0, 10_000],
    [1, 9_000],
  ])("sends a heartbeat before its time by a part of it: by the chance %d", async (chance, after) => {
    const { clock, server } = await connected({ heartbeatMs: 10_000, random: () => chance });
    const beats = () => server.requests.filter(({ action }) => action === "heartbeat").length;
    await clock.pass(after - 20);
    expect(beats()).toBe(0);
    await clock.pass(40);
    expect(beats()).toBe(1);
  });

  it("begins from the first wait again only after a connection that lasted", async () => {
    const { client, clock, server } = await connected();
    const attempts: number[] = [];
    client.onState((state) => state.status === "reconnecting" && attempts.push(state.attempt));
    for (const lasts of [100, 100, 11_000, 100]) {
      await clock.pass(lasts);
      for (const socket of server.sockets) socket.cut();
      await clock.pass(5_000);
    }
    expect(attempts).toEqual([1, 2, 1, 2]);
  });

  it("asks for a token each time, and tells the application after five failures, once", async () => {
    let asked = 0;
    const { client, clock, server, errors } = setup({ getToken: () => `token ${++asked}` });
    server.upgrade = ({ searchParams }) => searchParams.get("token") === "token 8";
    client.connect();
    await clock.pass(2 * MINUTE);
    expect(asked).toBe(8);
    expect(errors.map(({ code }) => code)).toEqual(["CONNECT_FAILED"]);
    expect(client.state.status).toBe("connected");
  });

  it("backs off when getToken fails, or does not answer", async () => {
    const answers = [() => Promise.reject(new Error("down")), () => new Promise<string>(() => {})];
    const { client, clock } = setup({ getToken: () => answers.shift()?.() ?? "token" });
    const reasons: string[] = [];
    client.onState((state) => state.status === "reconnecting" && reasons.push(state.error.code));
    client.connect();
    await clock.pass(20_000);
    expect(reasons).toEqual(["TOKEN_FAILED", "TOKEN_FAILED"]);
    expect(client.state.status).toBe("connected");
  });

  it("stays away for good when the server says so", async () => {
    const { client, clock, server } = await connected();
    const published = client.publish("room:a", 1, { key: "k" });
    server.opened[0]!.end("REVOKED", false);
    await expect(published).rejects.toMatchObject({ code: "REVOKED" });
    await clock.pass(10 * MINUTE);
    expect(client.state).toMatchObject({ status: "closed", error: { code: "REVOKED", retry: false } });
    expect([server.opened.length, clock.pending]).toEqual([1, 0]);
    await expect(client.history("room:a")).rejects.toMatchObject({ code: "REVOKED" });
  });

  it("comes back with a new token when its token has expired", async () => {
    let asked = 0;
    const { client, clock, server } = await connected({ getToken: () => `token ${++asked}` });
    server.opened[0]!.end("TOKEN_EXPIRED", true);
    await clock.pass(1_000);
    expect(client.state.status).toBe("connected");
    expect(server.opened[1]!.url.searchParams.get("token")).toBe("token 2");
  });

  it("does not come back with the same expired token when there is no other", async () => {
    const { client, clock, server } = await connected({ token: "opaque-credential" });
    server.opened[0]!.end("TOKEN_EXPIRED", true);
    await clock.pass(MINUTE);
    expect(client.state).toMatchObject({ status: "closed", error: { code: "TOKEN_EXPIRED" } });
  });

  it.each(["online", "visibilitychange"])("does so at once on %s", async (type) => {
    const world = new EventTarget();
    vi.stubGlobal("addEventListener", world.addEventListener.bind(world));
    vi.stubGlobal("document", Object.assign(world, { visibilityState: "visible" }));
    const { client, clock, server } = await connected({ reconnectBaseMs: 30_000 });
    server.opened[0]!.cut();
    await clock.pass(10);
    expect(client.state.status).toBe("reconnecting");
    world.dispatchEvent(new Event(type));
    await clock.pass(10);
    expect(client.state.status).toBe("connected");
  });

  it("does not hear what wakes others when it is disconnected", async () => {
    const world = new EventTarget();
    vi.stubGlobal("addEventListener", world.addEventListener.bind(world));
    vi.stubGlobal("removeEventListener", world.removeEventListener.bind(world));
    const { client, clock, server } = await connected();
    client.disconnect();
    world.dispatchEvent(new Event("online"));
    await clock.pass(1_000);
    expect(server.opened).toHaveLength(1);
  });
});

describe("staying", () => {
  it("sends a heartbeat within 5 minutes, with its positions", async () => {
    const { client, clock, server } = await connected();
    server.publish("room:a", 1);
    client.subscribe("room:a");
    client.subscribe("topic:b");
    await clock.pass(5 * MINUTE);
    const beats = server.requests.filter(({ action }) => action === "heartbeat");
    expect(beats.map(({ payload }) => payload)).toEqual([
      { positions: new Map([["room:a", { epoch: "e1", offset: 1 }]]) },
    ]);
  });

  it("takes a socket that does not answer a heartbeat in 10 s for dead", async () => {
    const { clock, server, statuses } = await connected();
    server.opened[0]!.stalled = true;
    await clock.pass(5 * MINUTE);
    expect(server.opened).toHaveLength(2);
    expect(statuses).toEqual(["connecting", "connected", "reconnecting", "connected"]);
  });

  it("finds out that a socket is dead when something is not answered on it", async () => {
    const { client, clock, server } = await connected();
    server.opened[0]!.stalled = true;
    const published = client.publish("room:a", 1);
    await clock.pass(22_000);
    expect(await published).toMatchObject({ id: "m1" });
    expect(server.opened).toHaveLength(2);
  });

  it("asks a silent socket whether it lives when the tab is looked at", async () => {
    const world = new EventTarget();
    vi.stubGlobal("document", Object.assign(world, { visibilityState: "visible" }));
    const { clock, server } = await connected();
    world.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(11_000);
    expect(server.actions).toEqual([]);
    world.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(10);
    expect(server.actions).toEqual(["heartbeat"]);
  });

  it("asks once when several things make it doubtful at the same time, and goes on with one heartbeat", async () => {
    const world = new EventTarget();
    vi.stubGlobal("addEventListener", world.addEventListener.bind(world));
    const { client, clock, server } = await connected();
    await clock.pass(MINUTE);
    for (let times = 0; times < 3; times++) world.dispatchEvent(new Event("online"));
    await clock.pass(10);
    expect(server.actions).toEqual(["heartbeat"]);
    await clock.pass(5 * MINUTE);
    expect(server.actions).toEqual(["heartbeat", "heartbeat"]);
    client.disconnect();
    await clock.pass(10);
    expect(clock.pending).toBe(0);
  });

  it("refreshes its token on the socket before it expires", async () => {
    const tokens: string[] = [];
    const { client, clock, server } = setup({
      getToken: () => {
        tokens.push(jwt(clock.now() + 10 * MINUTE));
        return tokens.at(-1)!;
      },
    });
    client.connect();
    await clock.pass(10 * MINUTE);
    const refreshes = server.requests.filter(({ action }) => action === "refresh");
    expect(refreshes.map(({ payload }) => payload)).toEqual([{ token: tokens[1] }]);
    expect(server.opened).toHaveLength(1);
    await clock.pass(10 * MINUTE);
    expect(server.actions.filter((action) => action === "refresh")).toHaveLength(2);
  });

  it("tries a refresh again that has failed, as long as there is time", async () => {
    const expiry = Date.UTC(2026, 0, 1) + 10 * MINUTE;
    let asked = 0;
    const getToken = () => {
      if (++asked === 2) throw new Error("down");
      return jwt(asked === 1 ? expiry : expiry + 60 * MINUTE);
    };
    const { clock, server } = await connected({ getToken });
    await clock.pass(10 * MINUTE);
    expect([asked, server.actions.includes("refresh")]).toEqual([3, true]);
  });
});

describe.each([60 * MINUTE, -60 * MINUTE])("a wall clock that jumps by %d ms", (ms) => {
  it("changes nothing for a live connection: heartbeats, rotation, what is told", async () => {
    const { client, clock, server, statuses, errors } = await connected({ heartbeatMs: MINUTE });
    client.subscribe("room:a");
    await clock.pass(30_000);
    clock.jump(ms);
    await clock.pass(MINUTE);
    expect(server.actions).toEqual(["subscribe", "heartbeat"]);
    clock.jump(-ms);
    await clock.pass(120 * MINUTE);
    expect([server.opened.length, statuses, errors]).toEqual([2, ["connecting", "connected"], []]);
  });

  it("does not keep a dead socket from being found when the tab is looked at", async () => {
    const world = new EventTarget();
    vi.stubGlobal("document", Object.assign(world, { visibilityState: "visible" }));
    const { clock, server } = await connected();
    clock.jump(ms);
    await clock.pass(11_000);
    world.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(10);
    expect(server.actions).toEqual(["heartbeat"]);
  });

  it("counts a connection that lasted as a success", async () => {
    const { client, clock, server } = await connected();
    const attempts: number[] = [];
    client.onState((state) => state.status === "reconnecting" && attempts.push(state.attempt));
    for (let times = 0; times < 3; times++) {
      clock.jump(ms);
      await clock.pass(11_000);
      for (const socket of server.sockets) socket.cut();
      await clock.pass(5_000);
    }
    expect(attempts).toEqual([1, 1, 1]);
  });

  it.each([
    ["before it has a token", 0],
    ["while it has one", 5 * MINUTE],
  ])("does not keep it from refreshing its token in time: %s", async (_when, after) => {
    const world = setup({
      getToken: () => {
        // The server's clock is right.
        const now = clock.monotonic();
        return jwt(now + 10 * MINUTE, now);
      },
    });
    const { client, clock, server } = world;
    const jumps = async () => clock.jump(ms);
    if (after === 0) await jumps();
    client.connect();
    await clock.pass(after);
    if (after > 0) await jumps();
    await clock.pass(10 * MINUTE - after);
    expect(server.actions.filter((action) => action === "refresh")).toHaveLength(1);
    expect(server.opened).toHaveLength(1);
  });
});

describe("rotation", () => {
  it("has the new socket subscribed before the old one goes, without a word to the application", async () => {
    const { client, clock, server, statuses } = await connected();
    const seen: unknown[] = [];
    client.subscribe("room:a", { onMessage: ({ data }) => seen.push(data) });
    client.subscribe("topic:b", { onMessage: ({ data }) => seen.push(data) });
    for (let at = 0; at < 125; at++) {
      await clock.pass(MINUTE);
      server.publish("room:a", `a${at}`);
      server.publish("topic:b", `b${at}`);
    }
    await clock.pass(MINUTE);
    expect(seen).toHaveLength(250);
    expect(new Set(seen).size).toBe(250);
    expect([server.opened.length, server.sockets.size]).toEqual([2, 1]);
    expect(statuses).toEqual(["connecting", "connected"]);
  });

  it("loses and doubles nothing of what is published while there are two sockets", async () => {
    const { client, clock, server } = await connected({ maxConnectionMs: 20_000 });
    const seen: unknown[] = [];
    client.subscribe("room:a", { onMessage: ({ data }) => seen.push(data) });
    client.subscribe("topic:b", { onMessage: ({ data }) => seen.push(data) });
    await clock.pass(10);
    let together = 0;
    for (let at = 0; at < 3_000; at++) {
      server.publish("room:a", `a${at}`);
      server.publish("topic:b", `b${at}`);
      await clock.pass(10);
      if (server.sockets.size === 2) together++;
    }
    await clock.pass(1_000);
    expect(seen).toHaveLength(6_000);
    expect(new Set(seen).size).toBe(6_000);
    expect(seen.filter((data) => `${data}`.startsWith("a"))).toEqual(
      Array.from({ length: 3_000 }, (_, at) => `a${at}`),
    );
    expect(together).toBeGreaterThan(100);
  });

  it("keeps the old socket when the new one does not come, and tries again", async () => {
    const { clock, server, statuses } = await connected({ maxConnectionMs: 60_000 });
    server.upgrade = () => false;
    await clock.pass(60_000);
    expect([server.opened.length, server.sockets.size]).toEqual([2, 1]);
    server.upgrade = () => true;
    await clock.pass(60_000);
    expect([server.opened.length, server.sockets.size]).toEqual([3, 1]);
    expect(statuses).toEqual(["connecting", "connected"]);
  });

  it("goes on with the new socket when the old one ends meanwhile", async () => {
    const { client, clock, server, statuses } = await connected({ maxConnectionMs: 60_000 });
    client.subscribe("room:a");
    await clock.pass(10);
    server.faults.latency = [100, 100];
    await clock.pass(57_000 + 50);
    expect(server.opened).toHaveLength(2);
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(server.opened).toHaveLength(2);
    expect(statuses).toEqual(["connecting", "connected", "reconnecting", "connected"]);
  });

  it("sends again on the new socket what the old one did not answer", async () => {
    const { client, clock, server } = await connected({ maxConnectionMs: 60_000 });
    server.faults.latency = [0, 0];
    await clock.pass(56_900);
    const [old] = server.opened;
    old!.stalled = true;
    const published = client.publish("room:a", "once", { key: "k" });
    await clock.pass(20_000);
    expect(await published).toMatchObject({ position: { offset: 1 } });
    expect(server.stored).toEqual(["once"]);
  });
});
