import { LimitExceededException, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { describe, expect, it } from "vitest";
import type { LambdaHandler } from "../../src/apigw/index.ts";
import { type GatewayLimits, ManualClock } from "../../src/gateway/index.ts";
import { type Api, connectWithId, http, ok, rejection, sdk, startApi } from "./harness.ts";
import { frame, OPCODE, RawClient, rawConnect } from "./raw-client.ts";

const CHUNK = "x".repeat(128 * 1024);
const GRACE_MS = 10_000;

const unlimitedRate = { requestsPerSecond: Number.POSITIVE_INFINITY };

async function startSlow(limits: Partial<GatewayLimits> = {}, routes?: { [key: string]: LambdaHandler }) {
  const clock = new ManualClock();
  const api = await startApi({ clock, limits: { ...unlimitedRate, ...limits }, ...(routes && { routes }) });
  const slow = await rawConnect(api.gateway);
  const { connectionId: slowId } = (await api.connects.next()).requestContext;
  slow.socket.pause();
  return { api, clock, slow, slowId };
}

/** More than all buffers of these tests, including the system's. */
const FAR_TOO_MUCH = 64 * 1024 * 1024;

/** Posts until the client's buffer and the system's are full. Resolves to the number of bytes sent. */
async function fill(api: Api, id: string): Promise<number> {
  for (let bytes = 0; bytes < FAR_TOO_MUCH; bytes += CHUNK.length) {
    try {
      await api.gateway.post(id, CHUNK);
    } catch {
      return bytes;
    }
  }
  throw new Error("The buffer never was full");
}

describe("a slow client", () => {
  it("returns 200 for a POST while its buffer has room, before it receives the message", async () => {
    const { api, slow, slowId } = await startSlow();
    const command = new PostToConnectionCommand({ ConnectionId: slowId, Data: "x" });
    const { $metadata } = await sdk(api.gateway).send(command);
    expect([$metadata.httpStatusCode, slow.frames.size]).toEqual([200, 0]);
  });

  it("returns 429 LimitExceededException for a POST when its buffer is full", async () => {
    const { api, slowId } = await startSlow();
    await fill(api, slowId);
    const command = new PostToConnectionCommand({ ConnectionId: slowId, Data: "x" });
    expect(await rejection(sdk(api.gateway).send(command))).toBeInstanceOf(LimitExceededException);
  });

  it("uses limited memory: bufferBytes and one more message", async () => {
    const small = await startSlow({ bufferBytes: 64 * 1024 });
    const large = await startSlow({ bufferBytes: 16 * 1024 * 1024 });
    const [less, more] = [await fill(small.api, small.slowId), await fill(large.api, large.slowId)];
    // The system buffers the same for both sockets, except for a few messages.
    expect((more - less) / (16 * 1024 * 1024)).toBeCloseTo(1, 0);
  });

  it("is still connected just before the grace period ends", async () => {
    const { api, clock, slowId } = await startSlow();
    await fill(api, slowId);
    clock.advance(GRACE_MS - 1);
    expect(await api.gateway.get(slowId)).toBeDefined();
  });

  it("is disconnected after the grace period, and $disconnect gets the reason", async () => {
    const { api, clock, slow, slowId } = await startSlow();
    await fill(api, slowId);
    clock.advance(GRACE_MS);
    const { requestContext } = await api.disconnects.next();
    expect(requestContext).toMatchObject({ connectionId: slowId, disconnectStatusCode: 1008 });
    expect(await api.gateway.get(slowId)).toBeUndefined();
    slow.socket.resume();
    await slow.ended;
  });

  it("stays connected when it catches up in time", async () => {
    const { api, clock, slow, slowId } = await startSlow();
    const sent = (await fill(api, slowId)) / CHUNK.length;
    slow.socket.resume();
    const frames = await slow.frames.take(sent * 4);
    clock.advance(GRACE_MS);
    expect(frames.reduce((sum, { payload }) => sum + payload.length, 0)).toBe(sent * CHUNK.length);
    expect(await api.gateway.post(slowId, "still here")).toBe("sent");
  });

  it("has a new grace period when it falls behind again", async () => {
    const { api, clock, slow, slowId } = await startSlow();
    const sent = (await fill(api, slowId)) / CHUNK.length;
    slow.socket.resume();
    await slow.frames.take(sent * 4);
    slow.socket.pause();
    clock.advance(GRACE_MS / 2);
    await fill(api, slowId);
    clock.advance(GRACE_MS - 1);
    expect(await api.gateway.get(slowId)).toBeDefined();
    clock.advance(1);
    expect(await api.gateway.get(slowId)).toBeUndefined();
  });

  it("does not affect the others: they get every message of a broadcast in time", async () => {
    const { api, clock, slowId } = await startSlow();
    const { client, id } = await connectWithId(api);
    await fill(api, slowId);
    const report = await api.gateway.broadcast([slowId, id], "to all");
    expect(report).toEqual({ sent: 1, gone: 0, connecting: 0, failed: 1 });
    expect(await client.messages.next()).toBe("to all");
    clock.advance(GRACE_MS);
    await api.disconnects.next();
    await api.gateway.post(id, "afterwards");
    expect(await client.messages.next()).toBe("afterwards");
  });

  it("cannot make the gateway buffer pongs: it is disconnected", async () => {
    const { api, slow, slowId } = await startSlow();
    const pings = Buffer.concat(Array(4_096).fill(frame(OPCODE.ping, "p".repeat(125))));
    const flood = () => {
      while (slow.socket.write(pings));
      slow.socket.once("drain", flood);
    };
    flood();
    expect((await api.disconnects.next()).requestContext).toMatchObject({
      connectionId: slowId,
      disconnectStatusCode: 1006,
    });
  });

  it("cannot make the gateway buffer error frames: they are dropped when its buffer is full", async () => {
    const { api, slow, slowId } = await startSlow({}, { $connect: () => ok, seen: () => ok });
    const sent = (await fill(api, slowId)) / CHUNK.length;
    slow.write(...Array(1_000).fill(frame(OPCODE.text, "no route takes this")));
    slow.write(frame(OPCODE.text, '{"action":"seen"}'));
    await api.messages.next();
    slow.socket.resume();
    await slow.frames.take(sent * 4);
    await api.gateway.post(slowId, "mark");
    expect((await slow.frames.next()).payload.toString()).toBe("mark");
  });
});

describe("a broadcast in one process", () => {
  it("reaches ids from an asynchronous source", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    async function* ids() {
      yield id;
    }
    await api.gateway.broadcast(ids(), "from afar");
    expect(await client.messages.next()).toBe("from afar");
  });

  it("sends nothing when it has more than 128 KB", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    const error = await rejection(api.gateway.broadcast([id], `${CHUNK}x`));
    await api.gateway.post(id, "mark");
    expect([error.code, await client.messages.next()]).toEqual(["PAYLOAD_TOO_LARGE", "mark"]);
  });
});

describe("a half-open client", () => {
  it("is not a connection before it finishes its request", async () => {
    const api = await startApi();
    const client = new RawClient(api.gateway.port);
    client.socket.write("GET /dev HTTP/1.1\r\nHost: x\r\n");
    await http(api.gateway, "/healthz");
    expect([api.gateway.size, api.connects.size]).toEqual([0, 0]);
  });

  it("does not stay open when it never reads its close frame", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const client = await rawConnect(api.gateway);
    client.socket.pause();
    clock.advance(600_000);
    expect((await api.disconnects.next()).requestContext.disconnectStatusCode).toBe(1001);
    expect(api.gateway.size).toBe(0);
  });
});
