import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/gateway/index.ts";
import { type Api, connect, connectWithId, ok, startApi, turn } from "./harness.ts";
import { closePayload, frame, nextClose, OPCODE, rawConnect } from "./raw-client.ts";

const IDLE_MS = 600_000;
const LIFETIME_MS = 7_200_000;

/** A frame of one long message without a last frame. */
function piece(at: number, payload: string): Buffer {
  return frame(at === 0 ? OPCODE.text : OPCODE.continuation, payload, { fin: false });
}

/** Returns the code and reason in the `$disconnect` event. */
async function ending(api: Api) {
  const { disconnectStatusCode: code, disconnectReason: reason } = (await api.disconnects.next())
    .requestContext;
  return { code, reason };
}

describe("a close by DELETE @connections", () => {
  it('is 1000 "Connection Closed Normally" in $disconnect', async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    await api.gateway.disconnect(id);
    expect(await ending(api)).toEqual({ code: 1000, reason: "Connection Closed Normally" });
  });

  it("is 1000 for the client by default", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await api.gateway.disconnect(id);
    expect((await client.closed).code).toBe(1000);
  });

  it("is deleteCloseCode for the client, and still 1000 in $disconnect", async () => {
    const api = await startApi({ deleteCloseCode: 1001 });
    const { client, id } = await connectWithId(api);
    await api.gateway.disconnect(id);
    expect([(await client.closed).code, (await ending(api)).code]).toEqual([1001, 1000]);
  });
});

describe("the idle limit", () => {
  it("keeps a connection open at 599,999 ms", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const client = await connect(api.gateway);
    clock.advance(IDLE_MS - 1);
    client.send("still here");
    expect((await api.messages.next()).body).toBe("still here");
  });

  it('closes with 1001 "Going away" at 600,000 ms, for the client and in $disconnect', async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const client = await connect(api.gateway);
    clock.advance(IDLE_MS);
    const goingAway = { code: 1001, reason: "Going away" };
    expect([await client.closed, await ending(api)]).toEqual([goingAway, goingAway]);
  });

  it("restarts with a message from the client", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const client = await connect(api.gateway);
    clock.advance(IDLE_MS - 1);
    client.send("one");
    await api.messages.next();
    clock.advance(IDLE_MS - 1);
    client.send("two");
    await api.messages.next();
    clock.advance(IDLE_MS);
    expect((await client.closed).code).toBe(1001);
  });

  it("restarts with a message to the client", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const { client, id } = await connectWithId(api);
    clock.advance(IDLE_MS - 1);
    await api.gateway.post(id, "news");
    clock.advance(IDLE_MS - 1);
    expect([api.gateway.size, await client.messages.next()]).toEqual([1, "news"]);
  });

  it("is not reset by a ping", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const client = await connect(api.gateway);
    clock.advance(IDLE_MS - 1);
    client.socket.ping();
    await new Promise((resolve) => client.socket.once("pong", resolve));
    clock.advance(1);
    expect((await client.closed).code).toBe(1001);
  });

  it("is reset by a ping with pingResetsIdle", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, pingResetsIdle: true });
    const client = await connect(api.gateway);
    clock.advance(IDLE_MS - 1);
    client.socket.ping();
    await new Promise((resolve) => client.socket.once("pong", resolve));
    clock.advance(IDLE_MS - 1);
    expect(api.gateway.size).toBe(1);
    clock.advance(1);
    expect((await client.closed).code).toBe(1001);
  });

  it("applies to each connection separately", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const early = await connect(api.gateway);
    clock.advance(IDLE_MS / 2);
    await connect(api.gateway);
    clock.advance(IDLE_MS / 2);
    expect([(await early.closed).code, api.gateway.size]).toEqual([1001, 1]);
  });
});

describe("the lifetime limit", () => {
  /** Sends a message every nine minutes until `ms` have passed. */
  async function live(ms: number) {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const { client, id } = await connectWithId(api);
    const step = 540_000;
    for (let lived = 0; lived < ms; lived += step) {
      clock.advance(Math.min(step, ms - lived));
      await api.gateway.post(id, "tick");
    }
    return { api, client };
  }

  it("keeps a busy connection open at 7,199,999 ms", async () => {
    const { api } = await live(LIFETIME_MS - 1);
    expect(api.gateway.size).toBe(1);
  });

  it('closes a busy connection with 1001 "Going away" at 7,200,000 ms', async () => {
    const { api, client } = await live(LIFETIME_MS);
    const goingAway = { code: 1001, reason: "Going away" };
    expect([await client.closed, await ending(api)]).toEqual([goingAway, goingAway]);
  });
});

describe("a binary frame", () => {
  it("closes with 1003, for the client and in $disconnect", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.socket.send(Buffer.from([1, 2, 3]));
    expect([(await client.closed).code, (await ending(api)).code]).toEqual([1003, 1003]);
  });

  it("reaches no handler", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.socket.send(Buffer.from("hello"));
    client.send("after it");
    await api.disconnects.next();
    expect(api.messages.size).toBe(0);
  });
});

describe("a close by the client", () => {
  it('without a code is 1005 "Client-side close frame status not set"', async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.socket.close();
    expect(await ending(api)).toEqual({ code: 1005, reason: "Client-side close frame status not set" });
  });

  it.each([
    [1000, ""],
    [1000, "done"],
    [1001, "tab closed"],
    [3000, "registered"],
    [4999, "ends with ü"],
  ])("with %i %s is in $disconnect unchanged", async (code, reason) => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.socket.close(code, reason);
    expect(await ending(api)).toEqual({ code, reason });
  });

  it("gets a close frame with the same code", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.close, closePayload(4001, "bye")));
    expect((await nextClose(client)).code).toBe(4001);
  });
});

describe("a peer that disappears", () => {
  it("is 1006 when its connection breaks", async () => {
    const api = await startApi();
    const client = await connect(api.gateway);
    client.socket.terminate();
    expect((await ending(api)).code).toBe(1006);
  });

  it("is 1006 when it resets the connection", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.socket.resetAndDestroy();
    expect((await ending(api)).code).toBe(1006);
  });

  it("is 1006 when it stops sending without a close frame", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.socket.end();
    expect((await ending(api)).code).toBe(1006);
  });

  it("in the middle of a frame is 1006, and no handler gets the incomplete message", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.text, "hello").subarray(0, 8));
    client.socket.end();
    expect([(await ending(api)).code, api.messages.size]).toEqual([1006, 0]);
  });
});

describe("a client that breaks the protocol", () => {
  it.each([
    ["does not mask", frame(OPCODE.text, "x", { masked: false })],
    ["sends a continuation without a first frame", frame(OPCODE.continuation, "x")],
    ["uses a reserved opcode", frame(3, "x")],
    ["sends a control frame in pieces", frame(OPCODE.ping, "x", { fin: false })],
    ["sends a control frame of 126 bytes", frame(OPCODE.ping, "x".repeat(126))],
    ["closes with a reserved code", frame(OPCODE.close, closePayload(1005))],
    ["closes with a code of one byte", frame(OPCODE.close, Buffer.from([3]))],
  ])("is closed with 1002 when it %s", async (_what, bytes) => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(bytes);
    const ended = { code: 1002, reason: "Protocol error" };
    expect([await nextClose(client), await ending(api)]).toEqual([ended, ended]);
  });

  it("is closed with 1007 when its text is not UTF-8", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.text, Buffer.from([0xc3, 0x28])));
    const ended = { code: 1007, reason: "Invalid frame payload data" };
    expect([await nextClose(client), await ending(api)]).toEqual([ended, ended]);
  });

  it.each([
    ["a frame is too long", [frame(OPCODE.text, "x".repeat(32_769))]],
    ["a header has too large a length", [frame(OPCODE.text, "", { length: 1_000_000 })]],
    ["a message is too long", Array.from({ length: 5 }, (_, at) => piece(at, "x".repeat(32_000)))],
    ["a message has too many frames", Array.from({ length: 16_386 }, (_, at) => piece(at, "x"))],
  ])("gets the reason of 1009 when %s", async (_what, frames) => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(Buffer.concat(frames));
    const ended = { code: 1009, reason: "Message too big" };
    expect([await nextClose(client), await ending(api)]).toEqual([ended, ended]);
  });

  it("gets its own close code back, without a reason of the gateway", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.close, closePayload(1002)));
    expect(await nextClose(client)).toEqual({ code: 1002, reason: "" });
  });
});

describe("$disconnect", () => {
  it("runs once, after the connection has closed", async () => {
    const outcomes: unknown[] = [];
    const api: Api = await startApi({}, async ({ requestContext: { eventType, connectionId } }) => {
      if (eventType === "DISCONNECT") {
        outcomes.push(api.gateway.size, await api.gateway.post(connectionId, "still there?"));
      }
      return ok;
    });
    const { id } = await connectWithId(api);
    await api.gateway.disconnect(id);
    await api.reports.take(2);
    expect(outcomes).toEqual([0, "gone"]);
  });

  it("does not wait for a peer that never answers the close frame", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    await api.gateway.disconnect(connectionId);
    await nextClose(client);
    expect((await ending(api)).code).toBe(1000);
  });

  it("does not run again when the peer answers the close frame", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await api.gateway.disconnect(id);
    await client.closed;
    await api.disconnects.next();
    // A second `$disconnect` of the first connection would arrive before the one of this connection.
    const other = await connectWithId(api);
    other.client.socket.close();
    expect((await api.disconnects.next()).requestContext.connectionId).toBe(other.id);
  });

  it("has no effect when it throws or is missing", async () => {
    const api = await startApi({ routes: { $disconnect: () => Promise.reject(new Error("oops")) } });
    const leaving = await connect(api.gateway);
    leaving.socket.close();
    expect((await api.reports.next()).status).toBe(502);
    await turn();
    expect((await connect(api.gateway)).socket.readyState).toBe(1);
  });
});

describe("a ping", () => {
  it("is answered with a pong of the same payload", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.ping, "are you there?"));
    const { opcode, payload } = await client.frames.next();
    expect([opcode, payload.toString()]).toEqual([OPCODE.pong, "are you there?"]);
  });

  it("reaches no handler, and neither does a pong without a ping", async () => {
    const api = await startApi();
    const client = await rawConnect(api.gateway);
    client.write(frame(OPCODE.ping), frame(OPCODE.pong), frame(OPCODE.text, "after them"));
    expect((await api.messages.next()).body).toBe("after them");
  });
});
