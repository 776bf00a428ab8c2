import { PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { describe, expect, it } from "vitest";
import { createGateway, DEFAULT_LIMITS, ManualClock } from "../../src/gateway/index.ts";
import {
  connect,
  connectWithId,
  dial,
  errorFrame,
  ok,
  rejection,
  sdk,
  startApi,
  upgrade,
} from "./harness.ts";
import { frame, nextClose, OPCODE, type RawFrame, rawConnect } from "./raw-client.ts";

const KB = 1024;
const NOBODY = "Xux7aeaAFiACHZQ=";

describe("the frame limit", () => {
  it("accepts a frame of 32,768 bytes", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.send("x".repeat(32 * KB));
    expect((await api.messages.next()).body).toHaveLength(32_768);
  });

  it("closes with 1009 on a frame of 32,769 bytes, for the client and in $disconnect", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.send("x".repeat(32 * KB + 1));
    const { disconnectStatusCode } = (await api.disconnects.next()).requestContext;
    expect([(await client.closed).code, disconnectStatusCode, api.messages.size]).toEqual([1009, 1009, 0]);
  });

  it("applies to the second frame of a message too", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.sendInFrames([1, 32 * KB + 1]);
    expect((await client.closed).code).toBe(1009);
  });

  it("closes on a frame's header, before its payload arrives", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.text, "", { length: 32 * KB + 1 }));
    expect((await nextClose(client)).code).toBe(1009);
  });

  it("closes on a frame with a length above the largest safe integer", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.text, "", { length: 2 ** 60 }));
    expect((await nextClose(client)).code).toBe(1009);
  });

  it("counts bytes, not characters", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.send("ü".repeat(16 * KB));
    expect((await api.messages.next()).body).toHaveLength(16 * KB);
    client.send(`ü${"x".repeat(32 * KB - 1)}`);
    expect((await client.closed).code).toBe(1009);
  });

  it("is an option", async () => {
    const api = await startApi({ limits: { frameBytes: 10 } });
    const client = await connect(api.gateway);
    client.send("x".repeat(11));
    expect((await client.closed).code).toBe(1009);
  });
});

describe("the message limit", () => {
  it("accepts 131,072 bytes in frames of 32 KB", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.sendInFrames(Array(4).fill(32 * KB));
    expect((await api.messages.next()).body).toHaveLength(131_072);
  });

  it("closes with 1009 on 131,073 bytes in small frames, for the client and in $disconnect", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.sendInFrames([...Array(4).fill(32 * KB), 1]);
    const { disconnectStatusCode } = (await api.disconnects.next()).requestContext;
    expect([(await client.closed).code, disconnectStatusCode, api.messages.size]).toEqual([1009, 1009, 0]);
  });

  it("starts again with each message: frames of the previous one do not count", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.sendInFrames(Array(4).fill(32 * KB));
    client.sendInFrames(Array(4).fill(32 * KB));
    expect(await api.messages.take(2)).toHaveLength(2);
  });

  it("accepts control frames between the frames of a message", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(
      frame(OPCODE.text, "a", { fin: false }),
      frame(OPCODE.ping),
      frame(OPCODE.continuation, "b"),
    );
    expect((await api.messages.next()).body).toBe("ab");
  });
});

describe("a message to the client over 32 KB", () => {
  it("is sent in frames of 32 KB, the last one final", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    await api.gateway.post(connectionId, "x".repeat(70 * KB));
    const frames: RawFrame[] = await client.frames.take(3);
    expect(frames.map(({ opcode, fin, payload }) => [opcode, fin, payload.length])).toEqual([
      [OPCODE.text, false, 32 * KB],
      [OPCODE.continuation, false, 32 * KB],
      [OPCODE.continuation, true, 6 * KB],
    ]);
  });

  it("of exactly 32 KB is one frame", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    await api.gateway.post(connectionId, "x".repeat(32 * KB));
    const { fin, payload } = await client.frames.next();
    expect([fin, payload.length]).toEqual([true, 32_768]);
  });
});

describe("the URL limit", () => {
  const ofLength = (length: number) => `/dev?q=${"x".repeat(length - "/dev?q=".length)}`;

  it("accepts 4,096 characters", async () => {
    const { gateway } = await startApi();
    expect((await upgrade(gateway, ofLength(4_096))).status).toBe(101);
  });

  it("refuses 4,097 characters with 414", async () => {
    const api = await startApi();
    expect((await upgrade(api.gateway, ofLength(4_097))).status).toBe(414);
    expect(api.connects.size).toBe(0);
  });
});

describe("the rate of new connections", () => {
  it("is 500 per second: the 501st gets 429, and one more after 2 ms", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock }, () => ({ statusCode: 403 }));
    // $connect refuses them, so no socket stays open, but they count.
    for (let started = 0; started < 500; started += 50) {
      await Promise.all(Array.from({ length: 50 }, () => upgrade(api.gateway)));
    }
    expect((await upgrade(api.gateway)).status).toBe(429);
    clock.advance(2);
    const statuses = [await upgrade(api.gateway), await upgrade(api.gateway)].map(({ status }) => status);
    expect([statuses, api.connects.size]).toEqual([[403, 429], 501]);
  });

  it("does not accumulate: after a quiet hour the burst is the same", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { connectionsPerSecond: 2 } });
    clock.advance(3_600_000);
    const statuses = [];
    for (let n = 0; n < 3; n++) statuses.push((await upgrade(api.gateway)).status);
    expect(statuses).toEqual([101, 101, 429]);
  });

  it("is enforced by a refused upgrade, not by an open socket that closes", async () => {
    const api = await startApi({ clock: new ManualClock(), limits: { connectionsPerSecond: 1 } });
    await connect(api.gateway);
    const { socket } = dial(api.gateway);
    const error = await new Promise<Error>((resolve) => socket.once("error", resolve));
    expect(error.message).toBe("Unexpected server response: 429");
  });
});

describe("the rate of requests", () => {
  const few = { requestsPerSecond: 1, requestBurst: 2 };

  it("has a burst of 5,000: the next one gets 429 LimitExceededException", async () => {
    const clock = new ManualClock();
    const { gateway } = await startApi({ clock });
    for (let n = 0; n < 5_000; n++) await gateway.get(NOBODY);
    const command = new PostToConnectionCommand({ ConnectionId: NOBODY, Data: "x" });
    expect(await rejection(sdk(gateway).send(command))).toMatchObject({
      name: "LimitExceededException",
      $metadata: { httpStatusCode: 429 },
    });
  });

  it("is 10,000 per second: ten more in a millisecond", async () => {
    const clock = new ManualClock();
    const { gateway } = await startApi({ clock });
    for (let n = 0; n < 5_000; n++) await gateway.get(NOBODY);
    clock.advance(1);
    for (let n = 0; n < 10; n++) await gateway.get(NOBODY);
    expect(await rejection(gateway.get(NOBODY))).toMatchObject({ code: "LIMIT_EXCEEDED" });
  });

  it("applies to messages: over it the sender gets a frame, and its socket stays open", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: few });
    const { client, id } = await connectWithId(api);
    client.send("one");
    client.send("two");
    const text = await client.messages.next();
    expect(text).toBe(errorFrame("Too Many Requests", id, JSON.parse(text).requestId));
    clock.advance(1_000);
    client.send("three");
    expect((await api.messages.take(2)).map((event) => event.body)).toEqual(["one", "three"]);
  });

  it("applies to connects: over it they get 429", async () => {
    const { gateway } = await startApi({ clock: new ManualClock(), limits: few });
    await gateway.get(NOBODY);
    await gateway.get(NOBODY);
    expect((await upgrade(gateway)).status).toBe(429);
  });

  it("applies to each recipient of a broadcast", async () => {
    const { gateway } = await startApi({ clock: new ManualClock(), limits: few });
    const report = await gateway.broadcast([NOBODY, NOBODY, NOBODY], "x");
    expect(report).toEqual({ sent: 0, gone: 2, connecting: 0, failed: 1 });
  });
});

describe("the number of routes", () => {
  const routes = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`route${n}`, () => ok]));

  it("may be 300", () => {
    expect(() => createGateway({ routes: routes(300) })).not.toThrow();
  });

  it("may not be 301", () => {
    expect(() => createGateway({ routes: routes(301) })).toThrow(/301 routes; the limit is 300/);
  });
});

describe("every limit", () => {
  it("has the service's value by default", () => {
    expect(DEFAULT_LIMITS).toMatchObject({
      frameBytes: 32 * KB,
      messageBytes: 128 * KB,
      idleMs: 10 * 60_000,
      lifetimeMs: 2 * 60 * 60_000,
      integrationTimeoutMs: 29_000,
      connectionsPerSecond: 500,
      requestsPerSecond: 10_000,
      requestBurst: 5_000,
      urlLength: 4_096,
      authorizerResultBytes: 8 * KB,
      routes: 300,
    });
  });

  it("can be turned off", async () => {
    const clock = new ManualClock();
    const limits = Object.fromEntries(
      Object.keys(DEFAULT_LIMITS).map((name) => [name, Number.POSITIVE_INFINITY]),
    );
    const api = await startApi({ clock, limits });
    const client = await connect(api.gateway, { path: `?q=${"x".repeat(5_000)}` });
    clock.advance(30 * 24 * 3_600_000);
    client.sendInFrames([100 * KB, 100 * KB]);
    expect((await api.messages.next()).body).toHaveLength(200 * KB);
  });

  it("throws at construction when it is zero, not a number or unknown", () => {
    const make = (limits: object) => () => createGateway({ handler: () => ok, limits });
    expect(make({ idleMs: 0 })).toThrow("limits.idleMs");
    expect(make({ frameBytes: "32" })).toThrow("limits.frameBytes");
    expect(make({ frameByte: 1 })).toThrow("Unknown option `limits.frameByte`");
  });
});

describe("the number of connections", () => {
  it("has no limit of its own", async () => {
    const api = await startApi();
    await Promise.all(Array.from({ length: 200 }, () => connect(api.gateway)));
    expect(api.gateway.size).toBe(200);
  });
});
