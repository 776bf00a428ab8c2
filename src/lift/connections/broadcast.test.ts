import { expect, it, vi } from "vitest";
import type { Connection } from "../../store/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { Lift, type LiftOptions } from "../index.ts";
import {
  connectEvent,
  lambdaContext,
  messageEvent,
  type RecordingConnections,
  recordingConnections,
} from "../testing/index.ts";

const ENDPOINT = "https://api.example.com/test";
const OLD = Date.now() - 3_600_000;

async function setUp(options: LiftOptions<object> = {}) {
  const connectionStore = memoryConnectionStore();
  const row: Connection = {
    id: "old",
    metadata: {},
    state: {},
    sourceIp: "192.0.2.1",
    endpoint: ENDPOINT,
    connectedAt: OLD,
    expiresAt: OLD + 7_200_000,
  };
  await connectionStore.save(row);
  await connectionStore.save({ ...row, id: "young", connectedAt: Date.now() });
  return { connectionStore, app: new Lift<object>({ connectionStore, ...options }) };
}

it("broadcasts without an event and separates gone from connecting recipients", async () => {
  const connections = recordingConnections().gone("old", "young");
  const { app, connectionStore } = await setUp({ connections });
  expect(await app.broadcast(ENDPOINT, ["a", "old", "young"], "x", { results: "unsent" })).toEqual({
    sent: 1,
    gone: 1,
    connecting: 1,
    failed: 0,
    results: [
      { connectionId: "old", outcome: "gone" },
      { connectionId: "young", outcome: "connecting" },
    ],
  });
  expect(await connectionStore.get("old")).toBeUndefined();
  expect(await connectionStore.get("young")).toBeDefined();
});

it("requests no results without a store, whose rows would need them", async () => {
  const connections = recordingConnections().gone("a");
  const broadcast = vi.spyOn(connections, "broadcast");
  const app = new Lift({ connections });
  expect(await app.broadcast(ENDPOINT, ["a", "b"], "x")).toEqual({
    sent: 1,
    gone: 1,
    connecting: 0,
    failed: 0,
  });
  expect(broadcast.mock.calls[0]?.[2]).not.toHaveProperty("results");
});

it("broadcasts to the given endpoint, unless the handler has `connections`", async () => {
  const reached = new Map<string, RecordingConnections>();
  const { app } = await setUp({
    connections: (endpoint) => {
      reached.set(endpoint, recordingConnections());
      return reached.get(endpoint)!;
    },
  });
  await app.broadcast(ENDPOINT, ["a"], "x");
  await app.broadcast("https://other.example.com/live", ["b"], "y");
  expect([...reached].map(([endpoint, { sent }]) => [endpoint, sent])).toEqual([
    [ENDPOINT, [{ connectionId: "a", data: "x" }]],
    ["https://other.example.com/live", [{ connectionId: "b", data: "y" }]],
  ]);

  const host = recordingConnections();
  app.webSocketHandler({ connections: host });
  await app.broadcast(ENDPOINT, ["c"], "z");
  expect(host.sentTo("c")).toEqual(["z"]);
});

it("stops a broadcast when its context has no time left", async () => {
  const { app } = await setUp({ connections: recordingConnections() });
  const context = lambdaContext({ getRemainingTimeInMillis: () => 1_200 });
  const { sent, remaining } = await app.broadcast(ENDPOINT, ["a", "b"], "x", { context });
  expect(sent).toBe(0);
  const left: string[] = [];
  for await (const id of remaining ?? []) left.push(id);
  expect(left.sort()).toEqual(["a", "b"]);
});

it("has the endpoint and the expiry that the row has", async () => {
  const { app, connectionStore } = await setUp({ connections: recordingConnections(), lifetimeMs: 60_000 });
  const created: object[] = [];
  app.webSocket("where", (ctx) => {
    const { endpoint, expiresAt } = ctx.asWebSocket();
    created.push({ endpoint, expiresAt });
  });
  const handler = app.webSocketHandler();
  const requestContext = { domainName: "ws.example.com", stage: "live", connectedAt: Date.now() };
  await handler(connectEvent({ requestContext }), lambdaContext());
  await handler(messageEvent("where", {}, { requestContext }), lambdaContext());
  expect(await connectionStore.get(connectEvent().requestContext.connectionId)).toMatchObject(created[0]!);
  expect(created).toEqual([{ endpoint: "https://ws.example.com/live", expiresAt: expect.any(Number) }]);
});
