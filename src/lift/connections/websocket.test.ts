import { describe, expect, it } from "vitest";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { Lift, type Logger, type WebSocketContext } from "../index.ts";
import { lambdaContext, messageEvent, recordingConnections } from "../testing/index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const NOW = Date.UTC(2026, 0, 1);
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Runs `use` in the handler of a message and returns its result. */
async function using<Value>(
  use: (ws: WebSocketContext) => Promise<Value>,
  connections = recordingConnections(),
  lambda = lambdaContext(),
) {
  const store = memoryConnectionStore({ now: () => NOW });
  for (const id of ["old", "young", "b"]) {
    await store.save({
      id,
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/test",
      connectedAt: NOW - 5 * 60_000,
      expiresAt: NOW + 1,
    });
  }
  const app = new Lift({ connections, connectionStore: store, logger: quiet, now: () => NOW });
  let outcome: PromiseSettledResult<Value> | undefined;
  app.webSocket("a", async (ctx) => {
    [outcome] = await Promise.allSettled([use(ctx.asWebSocket())]);
  });
  await app.webSocketHandler()(messageEvent("a", {}), lambda);
  if (outcome?.status === "rejected") throw outcome.reason;
  return { value: outcome?.value, connections, store };
}

async function* pages(...ids: string[]) {
  for (const id of ids) yield id;
}

describe("asWebSocket()", () => {
  it("sends to the sender, as text, bytes and JSON", async () => {
    const { connections } = await using(async (ws) => {
      await ws.sendMessage("text");
      await ws.sendMessage(new TextEncoder().encode("bytes"));
      return ws.sendJSON({ a: 1 });
    });
    expect(connections.sentTo(ID)).toEqual(["text", "bytes", '{"a":1}']);
  });

  it("sends to any other connection by its id", async () => {
    const { value, connections } = await using(async (ws) => [
      await ws.sendMessageTo("b", "x"),
      await ws.sendJSONTo("b", [1]),
    ]);
    expect(value).toEqual(["sent", "sent"]);
    expect(connections.sentTo("b")).toEqual(["x", "[1]"]);
  });

  it("broadcasts with a result per recipient, in order, over iterables and async pages", async () => {
    const connections = recordingConnections().gone("old").throttled("b");
    const { value } = await using(
      (ws) => ws.broadcastJSON(pages("young", "old", "b", ID), { n: 1 }, { results: true }),
      connections,
    );
    expect(value).toMatchObject({ sent: 2, gone: 1, connecting: 0, failed: 1 });
    expect(value?.results).toMatchObject([
      { connectionId: "young", outcome: "sent" },
      { connectionId: "old", outcome: "gone" },
      { connectionId: "b", outcome: "failed", error: { code: "LIMIT_EXCEEDED" } },
      { connectionId: ID, outcome: "sent" },
    ]);
    expect(connections.sentTo(ID)).toEqual(['{"n":1}']);
  });

  it("broadcasts with counts only, unless results are requested", async () => {
    const { value } = await using((ws) => ws.broadcastMessage(new Set(["b"]), "x"));
    expect(value).toEqual({ sent: 1, gone: 0, connecting: 0, failed: 0 });
  });

  it("stops a broadcast when its signal aborts and returns the remaining ids", async () => {
    const controller = new AbortController();
    async function* ids() {
      yield* ["young", "b"];
      controller.abort();
      yield* ["old", "young"];
    }
    const connections = recordingConnections();
    const { value } = await using(async (ws) => {
      const { remaining, ...report } = await ws.broadcastMessage(ids(), "x", { signal: controller.signal });
      expect(connections.sent.map(({ connectionId }) => connectionId)).toEqual(["young", "b"]);
      return { report, rest: await ws.broadcastMessage(remaining ?? [], "x") };
    }, connections);
    expect(value?.report).toEqual({ sent: 2, gone: 0, connecting: 0, failed: 0 });
    expect(value?.rest).toEqual({ sent: 2, gone: 0, connecting: 0, failed: 0 });
    expect(connections.sent.map(({ connectionId }) => connectionId)).toEqual(["young", "b", "old", "young"]);
  });

  it("stops a broadcast when the function has no time left", async () => {
    const short = lambdaContext({ getRemainingTimeInMillis: () => 1_200 });
    const { value, connections } = await using(
      (ws) => ws.broadcastMessage(["old", "b"], "x"),
      undefined,
      short,
    );
    expect(connections.sent).toEqual([]);
    const remaining: string[] = [];
    for await (const id of value?.remaining ?? []) remaining.push(id);
    expect(remaining).toEqual(["old", "b"]);
  });

  it("rejects a message over 128 KB before it sends anything", async () => {
    const connections = recordingConnections();
    const large = "x".repeat(131_073);
    await expect(using((ws) => ws.broadcastMessage(["b"], large), connections)).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
    await expect(using((ws) => ws.sendMessage(large), connections)).rejects.toThrow();
    expect(connections.sent).toEqual([]);
    await using((ws) => ws.sendMessage("x".repeat(131_072)), connections);
    expect(connections.sent).toHaveLength(1);
  });

  it("sends nothing after its signal has aborted", async () => {
    const connections = recordingConnections();
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(using((ws) => ws.sendMessage("x", { signal }), connections)).rejects.toThrow("too late");
    await expect(using((ws) => ws.broadcastMessage(["b"], "x", { signal }), connections)).rejects.toThrow();
    expect(connections.sent).toEqual([]);
  });

  it("disconnects and returns information, by default for its own connection", async () => {
    const { value, connections } = await using(async (ws) => [
      (await ws.getConnectionInfo())?.identity.sourceIp,
      await ws.disconnect(),
      await ws.disconnect(),
      await ws.disconnect("b"),
      await ws.getConnectionInfo("b"),
    ]);
    expect(value).toEqual(["127.0.0.1", true, false, true, undefined]);
    expect(connections.disconnected).toEqual([ID, "b"]);
  });
});
