import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocketServer } from "ws";
import {
  contextIn,
  disconnectOfConnect,
  headersIn,
  openAfter,
  overTheRate,
  ping,
  postBy,
  reply,
  sharesRequestId,
} from "./asks.ts";
import { Meter, Probe } from "./probe.ts";
import type { RawSocket } from "./raw-socket.ts";

/** A probe of an API that accepts the watcher, and then refuses each connection with 429. */
async function refusedProbe(signal = new AbortController().signal): Promise<Probe> {
  let upgrades = 0;
  const refuses = (
    _: { req: IncomingMessage },
    accept: (accepts: boolean, status?: number, body?: string) => void,
  ) => accept(++upgrades === 1, 429, "slow down");
  const server = createServer().listen(0, "127.0.0.1");
  const sockets = new WebSocketServer({ server, verifyClient: refuses });
  sockets.on("connection", (socket) => socket.on("message", () => socket.send('{"id":"a"}')));
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const probe = await Probe.open(new URL(`ws://127.0.0.1:${port}/probe`), new Meter(), signal);
  onTestFinished(probe.close);
  return probe;
}

describe("an API that refuses connections", () => {
  it.each([
    ["headers of the authorizer's event", headersIn("authorizer")],
    ["headers of the CONNECT event", headersIn("connect")],
    ["the authorizer's context", contextIn({ a: 1 }, "a")],
    ["request ids", sharesRequestId],
    ["the $disconnect of a refused connection", disconnectOfConnect({ result: {} })],
  ])("is no answer about %s", async (_, ask) => {
    const probe = await refusedProbe();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const asked = expect(ask(probe)).rejects.toThrow("the connection was refused with 429 slow down");
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1));
    vi.advanceTimersByTime(5_000);
    await asked;
  });
});

it("stops a question that waits for an event", async () => {
  const stopping = new AbortController();
  const probe = await refusedProbe(stopping.signal);
  const asked = expect(probe.event(() => false)).rejects.toThrow("the events has ended");
  stopping.abort();
  await asked;
});

/** A probe whose connections are this one. */
function fakeProbe(socket: object, more: object = {}) {
  const send = vi.fn();
  const probe = { connect: async () => socket, idOf: async () => "a", send, ...more };
  return { probe: probe as unknown as Probe, send };
}

describe("an answer that two later answers have overtaken", () => {
  it.each([
    ["late", "late"],
    [undefined, "nothing"],
  ])("is waited for: %s", async (text, expected) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const answers = ["fence", "fence", text].filter((each) => each !== undefined);
    const never = new Promise<never>(() => {});
    const next = async () => (answers.length > 0 ? { text: answers.shift() } : never);
    const { probe } = fakeProbe({ next }, { event: async () => ({}) });
    const asked = reply({ result: {} })(probe);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await asked).toBe(expected);
  });
});

describe("a connection with an action every five minutes", () => {
  /** Resolves to the answer after 12 minutes, and to the number of actions. */
  async function wait(closed: Promise<string>) {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const socket = { closed };
    const act = vi.fn();
    const { probe } = fakeProbe(socket);
    const asked = openAfter(12, 5, act)(probe);
    await vi.advanceTimersByTimeAsync(12 * 60_000);
    const answer = await asked;
    expect([act.mock.calls[0], vi.getTimerCount()]).toEqual([[socket, probe, "a"], 0]);
    return [answer, act.mock.calls.length];
  }

  it("is open at the end", async () => {
    expect(await wait(new Promise(() => {}))).toEqual(["open after 12 minutes", 2]);
  });

  it("is closed meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const answer = wait(promise);
    setTimeout(resolve, 10.2 * 60_000, "1001 Going away");
    expect(await answer).toEqual(["1001 Going away after 10 minutes", 2]);
  });
});

it("pings with a masked, empty frame", () => {
  const write = vi.fn();
  ping({ transport: { write } } as unknown as RawSocket);
  expect(write.mock.calls).toEqual([[Buffer.from([0x89, 0x80, 0, 0, 0, 0])]]);
});

it("posts to a connection by another one", async () => {
  const [socket, poster] = [{} as RawSocket, {}];
  const { probe, send } = fakeProbe(poster);
  postBy(socket, probe, "a");
  await vi.waitFor(() => expect(send).toHaveBeenCalled());
  expect(send.mock.calls).toEqual([[poster, { post: "eA==", bytes: 1, to: "a" }, "quiet"]]);
});

it.each([
  ["open", "the socket answers afterwards", '{"message":"m","connectionId":"x"}', async () => "a"],
  ["closed", "it does not", '{"message":"m","connectionId":"x"}', () => Promise.reject(new Error("ended"))],
  ["closed", "the answer has no message", '{"connectionId":"x"}', async () => "a"],
])("says that a socket over the rate is %s when %s", async (state, _, text, idOf) => {
  const { probe, send } = fakeProbe({ next: async () => ({ text }) }, { idOf });
  expect(await overTheRate(probe)).toBe(`${text.replace('"x"', '"…"')}; the socket is ${state}`);
  expect(send.mock.calls.map(([, step, route]) => [step, route])).toEqual(Array(10).fill([{}, "throttled"]));
});

it("names the close frame when a message never comes", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  new WebSocketServer({ server }).on("connection", (socket) =>
    socket.on("message", () => socket.close(1001, "bye")),
  );
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const url = new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/probe`);
  await expect(Probe.open(url, new Meter(), new AbortController().signal)).rejects.toThrow(
    "the connection ended: 1001 bye",
  );
});
