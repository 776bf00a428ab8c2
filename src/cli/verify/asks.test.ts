import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocketServer } from "ws";
import { contextIn, disconnectOfConnect, headersIn, sharesRequestId } from "./asks.ts";
import { Meter, Probe } from "./probe.ts";

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
