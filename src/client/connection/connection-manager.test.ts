import { getEventListeners } from "node:events";
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

  it("adds the token to the query of the URL", async () => {
    const { server } = await connected({ url: "wss://model/dev?v=1", token: "opaque-credential" });
    expect(server.opened[0]!.url.search).toBe("?v=1&token=opaque-credential");
  });

  it("adds a new ticket to the query for every connection", async () => {
    let tickets = 0;
    const { server, clock } = await connected({ getTicket: async () => `t${++tickets}` });
    server.opened[0]!.cut();
    await clock.pass(1_000);
    expect(server.opened.map(({ url }) => url.search)).toEqual(["?ticket=t1", "?ticket=t2"]);
  });

  it("leaves no timer and no socket when it disconnects", async () => {
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

  it("leaves nothing when it disconnects at once after connecting, or while getToken runs", async () => {
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

  it("reports no state when it disconnects before it connects", async () => {
    const { client, statuses } = setup();
    client.disconnect();
    expect(statuses).toEqual([]);
  });

  it("leaves no timer when it disconnects during a heartbeat", async () => {
    const { client, clock, server } = await connected({ heartbeatMs: 10_000 });
    server.opened[0]!.stalled = true;
    await clock.pass(10_000);
    client.disconnect();
    await clock.pass(10);
    expect(clock.pending).toBe(0);
  });

  it("leaves no timer when it disconnects during the refresh of its token", async () => {
    const { client, clock, server } = setup({ getToken: () => jwt(clock.now() + 10 * MINUTE) });
    client.connect();
    await clock.pass(9 * MINUTE - 10);
    server.opened[0]!.stalled = true;
    await clock.pass(20);
    client.disconnect();
    await clock.pass(10);
    expect(clock.pending).toBe(0);
  });

  it("leaves no listener on the page when it disconnects", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("document", page);
    const { client } = await connected();
    const listeners = () =>
      ["online", "visibilitychange"].map((type) => getEventListeners(page, type).length);
    expect(listeners()).toEqual([1, 1]);
    client.disconnect();
    expect(listeners()).toEqual([0, 0]);
  });

  it("connects again after a disconnect, with its subscriptions", async () => {
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

  it("replaces a socket that does not open in time", async () => {
    const { client, clock, server } = setup({ connectTimeoutMs: 1_000 });
    client.connect();
    await clock.pass(0);
    server.opened[0]!.stalled = true;
    await clock.pass(2_000);
    expect(server.opened).toHaveLength(2);
    expect(client.state.status).toBe("connected");
  });
});

describe("reconnecting", () => {
  it("passes the current state last to every listener, even if one of them changed it", async () => {
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

  it("ends when a listener disconnects", async () => {
    const { client, clock, server } = await connected();
    client.onState(({ status }) => status === "reconnecting" && client.disconnect());
    server.opened[0]!.cut();
    await clock.pass(10);
    expect([client.state.status, clock.pending]).toEqual(["idle", 0]);
  });

  it("waits a random part of a doubled and capped time, and reports the time of the next attempt", async () => {
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
  ])("waits a different time than other clients, with the random number %d", async (chance, expected) => {
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
  });

  it.each([
    [0, 20_000],
    [1, 18_000],
  ])("rotates a connection early by a random part, with the random number %d", async (chance, after) => {
    const { clock, server } = await connected({ maxConnectionMs: 20_000, random: () => chance });
    await clock.pass(after - 20);
    expect(server.opened).toHaveLength(1);
    await clock.pass(40);
    expect(server.opened).toHaveLength(2);
  });

  it.each([
    [0, 10_000],
    [1, 9_000],
  ])("sends a heartbeat early by a random part, with the random number %d", async (chance, after) => {
    const { clock, server } = await connected({ heartbeatMs: 10_000, random: () => chance });
    const beats = () => server.requests.filter(({ action }) => action === "heartbeat").length;
    await clock.pass(after - 20);
    expect(beats()).toBe(0);
    await clock.pass(40);
    expect(beats()).toBe(1);
  });

  it("resets its backoff only after a connection of 10 s", async () => {
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

  it("calls getToken for each attempt, and reports an error once after five failures", async () => {
    let asked = 0;
    const { client, clock, server, errors } = setup({ getToken: () => `token ${++asked}` });
    server.upgrade = ({ searchParams }) => searchParams.get("token") === "token 8";
    client.connect();
    await clock.pass(2 * MINUTE);
    expect(asked).toBe(8);
    expect(errors.map(({ code }) => code)).toEqual(["CONNECT_FAILED"]);
    expect(client.state.status).toBe("connected");
  });

  it("backs off when getToken rejects or does not resolve", async () => {
    const answers = [() => Promise.reject(new Error("down")), () => new Promise<string>(() => {})];
    const { client, clock } = setup({ getToken: () => answers.shift()?.() ?? "token" });
    const reasons: string[] = [];
    client.onState((state) => state.status === "reconnecting" && reasons.push(state.error.code));
    client.connect();
    await clock.pass(20_000);
    expect(reasons).toEqual(["TOKEN_FAILED", "TOKEN_FAILED"]);
    expect(client.state.status).toBe("connected");
  });

  it("closes permanently when the server's error forbids a retry", async () => {
    const { client, clock, server } = await connected();
    const published = client.publish("room:a", 1, { key: "k" });
    server.opened[0]!.end("REVOKED", false);
    await expect(published).rejects.toMatchObject({ code: "REVOKED" });
    await clock.pass(10 * MINUTE);
    expect(client.state).toMatchObject({ status: "closed", error: { code: "REVOKED", retry: false } });
    expect([server.opened.length, clock.pending]).toEqual([1, 0]);
    await expect(client.history("room:a")).rejects.toMatchObject({ code: "REVOKED" });
  });

  it("reconnects with a new token when its token has expired", async () => {
    let asked = 0;
    const { client, clock, server } = await connected({ getToken: () => `token ${++asked}` });
    server.opened[0]!.end("TOKEN_EXPIRED", true);
    await clock.pass(1_000);
    expect(client.state.status).toBe("connected");
    expect(server.opened[1]!.url.searchParams.get("token")).toBe("token 2");
  });

  it("closes when its token has expired and there is no other", async () => {
    const { client, clock, server } = await connected({ token: "opaque-credential" });
    server.opened[0]!.end("TOKEN_EXPIRED", true);
    await clock.pass(MINUTE);
    expect(client.state).toMatchObject({ status: "closed", error: { code: "TOKEN_EXPIRED" } });
  });

  it.each(["online", "visibilitychange"])("reconnects at once on %s", async (type) => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("document", Object.assign(page, { visibilityState: "visible" }));
    const { client, clock, server } = await connected({ reconnectBaseMs: 30_000 });
    server.opened[0]!.cut();
    await clock.pass(10);
    expect(client.state.status).toBe("reconnecting");
    page.dispatchEvent(new Event(type));
    await clock.pass(10);
    expect(client.state.status).toBe("connected");
  });

  it("ignores wake events when it is disconnected", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
    const { client, clock, server } = await connected();
    client.disconnect();
    page.dispatchEvent(new Event("online"));
    await clock.pass(1_000);
    expect(server.opened).toHaveLength(1);
  });
});

describe("a live connection", () => {
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

  it("replaces a socket that does not answer a heartbeat within 10 s", async () => {
    const { clock, server, statuses } = await connected();
    server.opened[0]!.stalled = true;
    await clock.pass(5 * MINUTE);
    expect(server.opened).toHaveLength(2);
    expect(statuses).toEqual(["connecting", "connected", "reconnecting", "connected"]);
  });

  it("replaces a socket that does not answer a heartbeat within `heartbeatTimeoutMs`", async () => {
    const { clock, server } = await connected({ heartbeatMs: 10_000, heartbeatTimeoutMs: 1_000 });
    server.opened[0]!.stalled = true;
    await clock.pass(11_000);
    expect(server.opened).toHaveLength(2);
  });

  it("keeps a socket that answers a heartbeat with an error", async () => {
    const { clock, server, statuses } = await connected();
    server.intercept = ({ action }) => (action === "heartbeat" ? "RATE_LIMITED" : undefined);
    await clock.pass(5 * MINUTE);
    expect([server.actions, statuses]).toEqual([["heartbeat"], ["connecting", "connected"]]);
  });

  it("replaces a socket that does not answer a request", async () => {
    const { client, clock, server } = await connected();
    server.opened[0]!.stalled = true;
    const published = client.publish("room:a", 1);
    await clock.pass(22_000);
    expect(await published).toMatchObject({ id: "m1" });
    expect(server.opened).toHaveLength(2);
  });

  it("sends a heartbeat on a silent socket when the tab becomes visible", async () => {
    const page = new EventTarget();
    vi.stubGlobal("document", Object.assign(page, { visibilityState: "visible" }));
    const { clock, server } = await connected();
    page.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(11_000);
    expect(server.actions).toEqual([]);
    page.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(10);
    expect(server.actions).toEqual(["heartbeat"]);
  });

  it("sends one heartbeat for several wake events, and keeps one heartbeat timer", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    const { client, clock, server } = await connected();
    await clock.pass(MINUTE);
    for (let times = 0; times < 3; times++) page.dispatchEvent(new Event("online"));
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

  it("retries a failed refresh until the token expires", async () => {
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
  it("does not change heartbeats, rotation and states of a live connection", async () => {
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

  it("does not prevent a heartbeat when the tab becomes visible", async () => {
    const page = new EventTarget();
    vi.stubGlobal("document", Object.assign(page, { visibilityState: "visible" }));
    const { clock, server } = await connected();
    clock.jump(ms);
    await clock.pass(11_000);
    page.dispatchEvent(new Event("visibilitychange"));
    await clock.pass(10);
    expect(server.actions).toEqual(["heartbeat"]);
  });

  it("does not prevent the reset of the backoff", async () => {
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
    ["before the first token", 0],
    ["after the first token", 5 * MINUTE],
  ])("does not delay the refresh of a token: %s", async (_when, after) => {
    const all = setup({
      getToken: () => {
        // The server's clock is right.
        const now = clock.monotonic();
        return jwt(now + 10 * MINUTE, now);
      },
    });
    const { client, clock, server } = all;
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
  it("subscribes the new socket before it closes the old one, without a state change", async () => {
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

  it("neither loses nor duplicates messages while there are two sockets", async () => {
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

  it("keeps the old socket when the new one does not open, and retries", async () => {
    const { clock, server, statuses } = await connected({ maxConnectionMs: 60_000 });
    server.upgrade = () => false;
    await clock.pass(60_000);
    expect([server.opened.length, server.sockets.size]).toEqual([2, 1]);
    server.upgrade = () => true;
    await clock.pass(60_000);
    expect([server.opened.length, server.sockets.size]).toEqual([3, 1]);
    expect(statuses).toEqual(["connecting", "connected"]);
  });

  it("keeps the old socket when the new one cannot subscribe, and retries", async () => {
    const { client, clock, server, statuses } = await connected({ maxConnectionMs: 60_000 });
    const seen: unknown[] = [];
    client.subscribe("room:a", { onMessage: ({ data }) => seen.push(data) });
    await clock.pass(10);
    server.intercept = ({ action }) => (action === "subscribe" ? "STORE_FAILED" : undefined);
    await clock.pass(60_000);
    const [old, refused] = server.opened;
    expect([old!.open, refused!.open]).toEqual([true, false]);
    server.intercept = () => undefined;
    server.publish("room:a", 1);
    await clock.pass(60_000);
    server.publish("room:a", 2);
    await clock.pass(10);
    expect([old!.open, server.sockets.size, seen]).toEqual([false, 1, [1, 2]]);
    expect(statuses).toEqual(["connecting", "connected"]);
  });

  it("continues with the new socket when the old one ends meanwhile", async () => {
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

  it("connects with the new socket before it has subscribed, when the old one ends meanwhile", async () => {
    const { client, clock, server } = await connected({ maxConnectionMs: 60_000 });
    client.subscribe("room:a");
    await clock.pass(10);
    server.faults.drop = 1;
    await clock.pass(57_000);
    server.opened[0]!.cut();
    await clock.pass(10);
    expect([client.state.status, server.opened.length]).toEqual(["connected", 2]);
  });

  it("resends requests on the new socket that the old one did not answer", async () => {
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
