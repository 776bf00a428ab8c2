import { describe, expect, it } from "vitest";
import type { LambdaHandler } from "../../src/apigw/index.ts";
import { type GatewayOptions, ManualClock } from "../../src/gateway/index.ts";
import { connect, connectWithId, gate, http, ok, startApi } from "./harness.ts";
import { frame, nextClose, OPCODE, rawConnect } from "./raw-client.ts";

const hello = frame(OPCODE.text, "hello");
const hellos = (count: number) => Buffer.concat(Array(count).fill(hello));

describe("running messages of one connection", () => {
  it("are limited: the next one is not read until one has ended", async () => {
    const gates = Array.from({ length: 4 }, () => gate<object>());
    let started = 0;
    const api = await startApi({ limits: { messagesInFlight: 2 } }, (event) =>
      event.requestContext.eventType === "MESSAGE" ? gates[started++]!.opened : ok,
    );
    const client = await rawConnect(api.gateway);
    client.write(hellos(4));
    await api.messages.take(2);
    // No further message has started after another round trip.
    await http(api.gateway, "/healthz");
    expect(started).toBe(2);
    gates[1]!.open(ok);
    await api.messages.next();
    expect(started).toBe(3);
    for (const { open } of gates) open(ok);
    await api.messages.next();
  });

  it.each<[string, GatewayOptions]>([
    ["have no route", { routes: { $connect: () => ok } }],
    ["are over the rate", { clock: new ManualClock(), limits: { connectionMessagesPerSecond: 1 } }],
  ])("do not include refused ones, which %s", async (_why, { limits, ...options }) => {
    const api = await startApi({ ...options, limits: { ...limits, messagesInFlight: 1 } });
    const client = await rawConnect(api.gateway);
    client.write(hellos(4));
    const texts = (await client.frames.take(3)).map(({ payload }) => payload.toString());
    expect(texts).toEqual(Array(3).fill(expect.stringMatching(/Forbidden|Too Many Requests/)));
  });

  it("do not delay other connections", async () => {
    const api = await startApi({ limits: { messagesInFlight: 1 } }, (event) =>
      "body" in event && event.body === "hello" ? new Promise(() => {}) : ok,
    );
    const flooding = await rawConnect(api.gateway);
    flooding.write(hellos(100));
    await api.messages.next();
    (await connect(api.gateway)).send("other");
    expect((await api.messages.next()).body).toBe("other");
  });

  it("are handled before $disconnect when the client closes after sending them", async () => {
    const seen: string[] = [];
    const record: LambdaHandler = async ({ requestContext }) => {
      seen.push(requestContext.eventType);
      return ok;
    };
    const api = await startApi({ limits: { messagesInFlight: 1 } }, record);
    const client = await rawConnect(api.gateway);
    client.write(Buffer.concat([hellos(5), frame(OPCODE.close)]));
    expect((await api.disconnects.next()).requestContext.disconnectStatusCode).toBe(1005);
    expect(seen).toEqual(["CONNECT", ...Array(5).fill("MESSAGE"), "DISCONNECT"]);
  });

  it("are handled before $disconnect when the client breaks the protocol after sending them", async () => {
    const api = await startApi({ limits: { messagesInFlight: 1 } }, async () => ok);
    const client = await rawConnect(api.gateway);
    client.write(Buffer.concat([hellos(5), frame(OPCODE.text, "x", { masked: false })]));
    expect((await api.disconnects.next()).requestContext.disconnectStatusCode).toBe(1002);
    expect(api.messages.size).toBe(5);
  });
});

describe("the message rate of one connection", () => {
  it("is an option: above it only the sender gets an error frame", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { connectionMessagesPerSecond: 2 } });
    const client = await connect(api.gateway);
    for (const text of ["one", "two", "three"]) client.send(text);
    expect(await client.messages.next()).toContain('"message": "Too Many Requests"');
    (await connect(api.gateway)).send("other");
    expect((await api.messages.take(3)).map(({ body }) => body)).toEqual(["one", "two", "other"]);
  });

  it("does not count refused messages towards the shared rate", async () => {
    const clock = new ManualClock();
    const limits = { connectionMessagesPerSecond: 1, requestsPerSecond: 4, requestBurst: 4 };
    const api = await startApi({ clock, limits });
    const client = await rawConnect(api.gateway);
    client.write(hellos(50));
    await client.frames.take(49);
    (await connect(api.gateway)).send("other");
    expect((await api.messages.take(2)).map(({ body }) => body)).toEqual(["hello", "other"]);
  });
});

describe("a client with many refused messages", () => {
  const ended = { code: 1008, reason: "Too many refused messages" };
  const refusing: [string, Parameters<typeof startApi>[0], LambdaHandler?][] = [
    ["over its rate", { limits: { refusedMessages: 10, connectionMessagesPerSecond: 1 } }],
    ["over the API's rate", { limits: { refusedMessages: 10, requestsPerSecond: 1, requestBurst: 1 } }],
    ["without a route", { limits: { refusedMessages: 10 }, routes: {} }],
    ["by its route's 4xx", { limits: { refusedMessages: 10 } }, () => ({ statusCode: 429 })],
    ["by its route's 400", { limits: { refusedMessages: 10 } }, () => ({ statusCode: 400 })],
  ];

  it.each(refusing)(
    "%s is closed with 1008 and the reason, also in $disconnect",
    async (_why, options, answer) => {
      const handler: LambdaHandler = (event, context, callback) =>
        event.requestContext.eventType === "MESSAGE" && answer ? answer(event, context, callback) : ok;
      const routes = options?.routes && { $disconnect: () => ok };
      const api = await startApi(
        { clock: new ManualClock(), ...options, ...(routes && { routes }) },
        handler,
      );
      const client = await rawConnect(api.gateway);
      client.write(hellos(100));
      const { disconnectStatusCode: code, disconnectReason: reason } = (await api.disconnects.next())
        .requestContext;
      expect([await nextClose(client), { code, reason }]).toEqual([ended, ended]);
    },
  );

  it("is closed when they come twice as fast as they are forgotten", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { refusedMessages: 10 }, routes: { $connect: () => ok } });
    const { client } = await connectWithId(api);
    for (let sent = 0; sent < 25; sent++) {
      client.send("no route");
      await Promise.race([client.messages.next(), client.closed]);
      clock.advance(500);
    }
    expect(await client.closed).toEqual(ended);
  });

  it("stays connected when they are few", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { refusedMessages: 10 }, routes: { $connect: () => ok } });
    const { client } = await connectWithId(api);
    for (let n = 0; n < 50; n++) {
      client.send("no route");
      await client.messages.next();
      clock.advance(1_000);
    }
    expect(client.socket.readyState).toBe(client.socket.OPEN);
  });
});
