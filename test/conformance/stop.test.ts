import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import type { LambdaHandler, WebSocketResult } from "../../src/apigw/index.ts";
import { createGateway, type GatewayOptions, ManualClock } from "../../src/gateway/index.ts";
import {
  connect,
  connectWithId,
  dial,
  gate,
  http,
  KEYS,
  ok,
  rejection,
  startApi,
  stopNow,
  turn,
  upgrade,
} from "./harness.ts";
import { RawClient, rawConnect } from "./raw-client.ts";

const on =
  (eventType: string, answer: () => unknown): LambdaHandler =>
  (event) =>
    event.requestContext.eventType === eventType ? answer() : ok;

describe("a graceful stop", () => {
  it("refuses new upgrades with 503", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi(
      {},
      on("MESSAGE", () => opened),
    );
    const client = await connect(api.gateway);
    client.send("keeps it busy");
    await api.messages.next();
    const closing = api.gateway.close({ spreadMs: 0 });
    expect((await upgrade(api.gateway)).status).toBe(503);
    open(ok);
    await closing;
  });

  it("waits for running handlers, whose results reach the client before the close", async () => {
    const { opened, open } = gate<WebSocketResult>();
    const api = await startApi(
      { routeResponses: ["$default"] },
      on("MESSAGE", () => opened),
    );
    const client = await connect(api.gateway);
    client.send("x");
    await api.messages.next();
    const closing = api.gateway.close({ spreadMs: 0 });
    open({ statusCode: 200, body: "done" });
    expect([await client.messages.next(), (await client.closed).code]).toEqual(["done", 1001]);
    await closing;
  });

  it("lets a running handler post to its client", async () => {
    const { opened, open } = gate();
    const api = await startApi({}, async ({ requestContext: { eventType, connectionId } }) => {
      if (eventType !== "MESSAGE") return ok;
      await opened;
      await api.gateway.post(connectionId, "last words");
      return ok;
    });
    const client = await connect(api.gateway);
    client.send("x");
    await api.messages.next();
    const closing = api.gateway.close({ spreadMs: 0 });
    open();
    expect(await client.messages.next()).toBe("last words");
    await closing;
  });

  it("waits for running handlers at most drainMs", async () => {
    const clock = new ManualClock();
    const api = await startApi(
      { clock },
      on("MESSAGE", () => new Promise(() => {})),
    );
    const client = await connect(api.gateway);
    client.send("x");
    await api.messages.next();
    const closing = api.gateway.close({ drainMs: 3_000, spreadMs: 0 });
    clock.advance(2_999);
    await turn();
    expect(api.gateway.size).toBe(1);
    clock.advance(1);
    expect((await client.closed).code).toBe(1001);
    clock.advance(3_000);
    await closing;
  });

  it("waits for the running call of everySecond at most drainMs, and starts no other", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate();
    const everySecond = vi.fn(() => opened);
    const [ending, hanging] = [
      await startApi({ clock, everySecond }),
      await startApi({ clock, everySecond: () => new Promise(() => {}) }),
    ];
    const clients = [await connect(ending.gateway), await connect(hanging.gateway)];
    clock.advance(1_000);
    const closing = [ending, hanging].map(({ gateway }) => gateway.close({ drainMs: 3_000, spreadMs: 0 }));
    clock.advance(2_999);
    await turn();
    expect([ending.gateway.size, hanging.gateway.size]).toEqual([1, 1]);
    open();
    expect((await clients[0]!.closed).code).toBe(1001);
    expect(hanging.gateway.size).toBe(1);
    clock.advance(1);
    expect((await clients[1]!.closed).code).toBe(1001);
    await Promise.all(closing);
    clock.advance(10_000);
    expect(everySecond).toHaveBeenCalledOnce();
  });

  it('closes each socket with 1001 "Going away"', async () => {
    const api = await startApi();
    const clients = await Promise.all([1, 2, 3].map(() => connect(api.gateway)));
    await api.gateway.close({ spreadMs: 1 });
    const closes = await Promise.all(clients.map((client) => client.closed));
    expect(closes).toEqual(Array(3).fill({ code: 1001, reason: "Going away" }));
  });

  it("spreads the closes over time, so that clients do not all reconnect at once", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    await Promise.all(Array.from({ length: 10 }, () => connect(api.gateway)));
    const closing = api.gateway.close({ spreadMs: 1_000 });
    const sizes: number[] = [];
    for (let ms = 0; ms < 1_000; ms += 100) {
      clock.advance(99);
      await turn();
      sizes.push(api.gateway.size);
      clock.advance(1);
      await turn();
    }
    expect(sizes).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    await closing;
  });

  it("runs $disconnect with 1001 for each socket, and waits for it", async () => {
    let ended = 0;
    const api = await startApi({}, async ({ requestContext: { eventType } }) => {
      if (eventType === "DISCONNECT") {
        await turn();
        ended += 1;
      }
      return ok;
    });
    await Promise.all([1, 2, 3].map(() => connect(api.gateway)));
    await api.gateway.close({ spreadMs: 1 });
    const codes = (await api.disconnects.take(3)).map((event) => event.requestContext.disconnectStatusCode);
    expect([ended, codes]).toEqual([3, [1001, 1001, 1001]]);
  });

  it("waits for a running $connect, and closes its connection", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi(
      {},
      on("CONNECT", () => opened),
    );
    const client = dial(api.gateway);
    await api.connects.next();
    const closing = api.gateway.close({ spreadMs: 0 });
    open(ok);
    await closing;
    expect([(await client.closed).code, api.disconnects.size]).toEqual([1001, 1]);
  });

  it("refuses the upgrade with 503 when the authorizer allows it too late", async () => {
    const { opened, open } = gate<object>();
    const asked = gate();
    const api = await startApi({
      authorizer: () => {
        asked.open();
        return opened;
      },
    });
    const answer = upgrade(api.gateway);
    await asked.opened;
    const closing = api.gateway.close({ spreadMs: 0 });
    open({
      principalId: "u",
      policyDocument: { Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] },
    });
    expect([(await answer).status, api.connects.size]).toEqual([503, 0]);
    await closing;
  });

  it("closes a connection with 1001 that $connect opens after the drain", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<object>();
    const api = await startApi(
      { clock },
      on("CONNECT", () => opened),
    );
    const client = dial(api.gateway);
    await api.connects.next();
    const closing = api.gateway.close({ drainMs: 1_000, spreadMs: 0 });
    clock.advance(1_000);
    await turn();
    open(ok);
    expect((await client.closed).code).toBe(1001);
    expect((await api.disconnects.next()).requestContext.disconnectStatusCode).toBe(1001);
    await closing;
  });

  it("waits for the $disconnect of a connection that $connect opens after the drain", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<object>();
    const api = await startApi({ clock }, async ({ requestContext: { eventType } }) => {
      if (eventType === "CONNECT") return opened;
      await turn();
      return ok;
    });
    dial(api.gateway);
    await api.connects.next();
    const closing = api.gateway.close({ drainMs: 1_000, spreadMs: 0 });
    clock.advance(1_000);
    await turn();
    open(ok);
    await closing;
    // Without the wait, the handler would have timed out.
    const statuses = (await api.reports.take(2)).map(({ routeKey, status }) => [routeKey, status]);
    expect(statuses).toEqual([
      ["$connect", 200],
      ["$disconnect", 200],
    ]);
  });

  it("does not wait for a client that never answers the close frame", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.socket.pause();
    await api.gateway.close({ spreadMs: 0 });
    expect((await api.disconnects.next()).requestContext.disconnectStatusCode).toBe(1001);
  });

  it("ends the connection of a client that has sent nothing", async () => {
    const { gateway } = await startApi();
    const client = new RawClient(gateway.port);
    await once(client.socket, "connect");
    // The gateway has accepted the connection before this later one.
    await http(gateway, "/healthz");
    await gateway.close({ spreadMs: 0 });
    await client.ended;
  });

  it("stops listening, and leaves no timer", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    await connect(api.gateway);
    await stopNow(api.gateway, clock);
    await expect(http(api.gateway, "/healthz")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(clock.pending).toBe(0);
  });

  it("is not needed to clear timers: none remains after the last connection has closed", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const { client } = await connectWithId(api);
    expect(clock.pending).toBeGreaterThan(0);
    client.socket.close();
    await client.closed;
    await api.reports.take(2);
    // One timer covers all running handlers. It fires once more and is not set again.
    clock.advance(29_000);
    expect([api.gateway.size, clock.pending]).toEqual([0, 0]);
  });

  it("stops once when called twice", async () => {
    const api = await startApi();
    await connect(api.gateway);
    await Promise.all([api.gateway.close({ spreadMs: 0 }), api.gateway.close()]);
    await api.disconnects.next();
    expect(api.disconnects.size).toBe(0);
  });

  it("times out running handlers at the end, and ignores their results", async () => {
    const clock = new ManualClock();
    const { opened, open } = gate<object>();
    const api = await startApi(
      { clock },
      on("DISCONNECT", () => opened),
    );
    const { client } = await connectWithId(api);
    client.socket.close();
    await api.disconnects.next();
    await stopNow(api.gateway, clock);
    open(ok);
    await turn();
    expect((await api.reports.take(2)).map(({ status }) => status)).toEqual([200, 504]);
    expect(api.reports.size).toBe(0);
  });
});

describe("listening", () => {
  it("rejects with ADDRESS_IN_USE, and with the system's error for other reasons", async () => {
    const { port } = (await startApi()).gateway;
    const gateway = (options: GatewayOptions = {}) => createGateway({ handler: () => ok, ...options });
    expect(await rejection(gateway().listen({ port }))).toMatchObject({
      code: "ADDRESS_IN_USE",
      message: `Port ${port} on 127.0.0.1 is already in use`,
      cause: { code: "EADDRINUSE" },
    });
    // An address for documentation, which no machine has.
    const elsewhere = gateway({ credentials: KEYS }).listen({ port: 0, host: "192.0.2.1" });
    expect(await rejection(elsewhere)).toMatchObject({ code: "EADDRNOTAVAIL" });
  });

  it("rejects with NOT_LISTENABLE the second time, and after a close", async () => {
    const listening = (await startApi()).gateway;
    const closed = createGateway({ handler: () => ok });
    await closed.close();
    for (const gateway of [listening, closed]) {
      expect(await rejection(gateway.listen({ port: 0 }))).toMatchObject({ code: "NOT_LISTENABLE" });
    }
  });
});

describe("`everySecond`", () => {
  it("is called again after it has failed, and its errors become warnings", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const clock = new ManualClock();
    let calls = 0;
    const everySecond = () => {
      calls++;
      if (calls === 1) throw new Error("thrown");
      return calls === 2 ? Promise.reject(new Error("rejected")) : undefined;
    };
    await startApi({ clock, everySecond });
    for (let second = 0; second < 3; second++) {
      clock.advance(1_000);
      await turn();
    }
    expect(calls).toBe(3);
    const texts = warn.mock.calls.map(([text]) => String(text).split("\n")[0]);
    expect(texts).toEqual(["Error: thrown", "Error: rejected"]);
  });
});
