import { expect, it, vi } from "vitest";
import type { Connection } from "../../store/index.ts";
import { memoryConnectionStore, memorySchedule } from "../../store/memory/index.ts";
import { jsonLogger, Lift, type LiftOptions } from "../index.ts";
import { lambdaContext, recordingConnections } from "../testing/index.ts";

const ROWS: readonly Partial<Connection>[] = [
  { id: "ada-1", userId: "ada", tenantId: "acme" },
  { id: "ada-2", userId: "ada", tenantId: "acme" },
  { id: "ada-elsewhere", userId: "ada", tenantId: "other" },
  { id: "bob", userId: "bob", tenantId: "acme" },
  { id: "anonymous" },
];

async function setUp(options: Partial<LiftOptions<object>> = {}) {
  const connectionStore = memoryConnectionStore();
  const connections = recordingConnections();
  const lines: string[] = [];
  const logger = jsonLogger({ write: (_level, line) => lines.push(line) });
  const app = new Lift<object>({ connectionStore, connections, logger, ...options });
  const save = (row: Partial<Connection>) =>
    connectionStore.save({
      id: "",
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/test",
      connectedAt: Date.now() - 60_000,
      expiresAt: Date.now() + 60_000,
      ...row,
    });
  for (const row of ROWS) await save(row);
  return { app, connections, lines, save };
}

const revoked = { type: "error", error: expect.objectContaining({ code: "REVOKED", retry: false }) };

it.each([
  [{ userId: "ada" }, ["ada-1", "ada-2", "ada-elsewhere"]],
  [{ tenantId: "acme" }, ["ada-1", "ada-2", "bob"]],
  [{ userId: "ada", tenantId: "acme" }, ["ada-1", "ada-2"]],
  [{ userId: "eve" }, []],
  [{ userId: "" }, []],
  [{ tenantId: "" }, []],
  [{ userId: "ada", tenantId: "" }, []],
  [{} as { userId: string }, []],
  // An id that is missing in a row matches no connection and is not a wildcard.
  [{ userId: undefined as never, tenantId: "acme" }, []],
  [{ userId: "ada", tenantId: undefined as never }, []],
])("closes the connections of %o after an error frame, and no others", async (whose, ids) => {
  const { app, connections } = await setUp();
  expect(await app.disconnect(whose)).toEqual({
    closed: ids.length,
    gone: 0,
    connecting: 0,
    failed: 0,
    complete: true,
  });
  expect([...connections.disconnected].sort()).toEqual(ids);
  expect(connections.sent.map(({ connectionId }) => connectionId).sort()).toEqual(ids);
  for (const id of ids) expect(connections.jsonSentTo(id)).toEqual([revoked]);
});

it("asks the store for no empty id", async () => {
  const connectionStore = memoryConnectionStore();
  const byUser = vi.spyOn(connectionStore, "listByUser");
  const byTenant = vi.spyOn(connectionStore, "listByTenant");
  const { app } = await setUp({ connectionStore });
  await app.disconnect({ userId: "" });
  await app.disconnect({ tenantId: "" });
  expect([...byUser.mock.calls, ...byTenant.mock.calls]).toEqual([]);
});

it("leaves no timer", async () => {
  const { app } = await setUp();
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  await app.disconnect({ userId: "ada" }, { context: lambdaContext() });
  expect(timers()).toBe(before);
});

it("counts gone and failed connections and closes the others", async () => {
  const { app, connections, lines } = await setUp();
  connections.gone("ada-1");
  const disconnect = connections.disconnect.bind(connections);
  vi.spyOn(connections, "disconnect").mockImplementation((id, options) =>
    id === "ada-2" ? Promise.reject(new Error("no network")) : disconnect(id, options),
  );
  const report = await app.disconnect({ tenantId: "acme" });
  expect(report).toEqual({ closed: 1, gone: 1, connecting: 0, failed: 1, complete: true });
  expect(connections.disconnected).toEqual(["bob"]);
  expect(lines).toEqual([expect.stringMatching(/"connectionId":"ada-2".*no network/)]);
});

it("closes connections that were still connecting at a later tick", async () => {
  let time = Date.now();
  const schedule = memorySchedule();
  const { app, connections, save } = await setUp({ schedule, now: () => time });
  await save({ id: "late", userId: "eve", connectedAt: time - 1_000 });
  const post = vi.spyOn(connections, "post").mockResolvedValueOnce("gone");
  expect(await app.disconnect({ userId: "eve" })).toMatchObject({ closed: 0, gone: 0, connecting: 1 });
  await app.tick();
  expect(connections.disconnected).toEqual([]);
  time += 29_000;
  await app.tick();
  expect(connections.disconnected).toEqual(["late"]);
  expect(connections.jsonSentTo("late")).toEqual([revoked]);
  expect(post).toHaveBeenCalledTimes(2);
});

it("sends to the endpoint of a connection's row, also at a later tick", async () => {
  let time = Date.now();
  const endpoints: string[] = [];
  const connections = (endpoint: string) => {
    endpoints.push(endpoint);
    return recordingConnections().gone("late");
  };
  const { app, save } = await setUp({ schedule: memorySchedule(), now: () => time, connections });
  const endpoint = "https://other.example.com/live";
  await save({ id: "late", userId: "eve", endpoint, connectedAt: time - 1_000 });
  expect(await app.disconnect({ userId: "eve" })).toMatchObject({ connecting: 1 });
  time += 29_000;
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
  expect(new Set(endpoints)).toEqual(new Set([endpoint]));
});

it("counts a connection that is still connecting without a schedule", async () => {
  const { app, connections, save } = await setUp();
  await save({ id: "late", userId: "eve", connectedAt: Date.now() });
  connections.gone("late");
  expect(await app.disconnect({ userId: "eve" })).toMatchObject({ connecting: 1, failed: 0 });
});

it("closes a connection that reads too slowly to receive the frame", async () => {
  const { app, connections } = await setUp();
  connections.throttled("bob");
  expect(await app.disconnect({ userId: "bob" })).toMatchObject({ closed: 1 });
});

it("closes thousands, 32 at a time", async () => {
  const { app, connections, save } = await setUp();
  for (let n = 0; n < 3_000; n++) await save({ id: `many-${n}`, userId: "many" });
  let [closing, most] = [0, 0];
  vi.spyOn(connections, "disconnect").mockImplementation(async () => {
    most = Math.max(most, ++closing);
    await new Promise((resolve) => setImmediate(resolve));
    closing--;
    return true;
  });
  expect(await app.disconnect({ userId: "many" })).toMatchObject({ closed: 3_000, complete: true });
  expect(most).toBe(32);
});

it("ends before its deadline and reports that it is not complete", async () => {
  const { app, connections } = await setUp();
  vi.spyOn(connections, "disconnect").mockImplementation(() => new Promise(() => {}));
  const context = lambdaContext({ getRemainingTimeInMillis: () => 1_010 });
  expect(await app.disconnect({ userId: "ada" }, { context })).toEqual({
    closed: 0,
    gone: 0,
    connecting: 0,
    failed: 0,
    complete: false,
  });
});

it("sends with the option `connections`", async () => {
  const { app, connections } = await setUp();
  const given = recordingConnections();
  await app.disconnect({ userId: "bob" }, { connections: given });
  expect(given.disconnected).toEqual(["bob"]);
  expect(connections.disconnected).toEqual([]);
});

it("sends with the handler's `connections` by default", async () => {
  const { app, connections } = await setUp();
  const host = recordingConnections();
  app.webSocketHandler({ connections: host });
  await app.disconnect({ userId: "bob" });
  expect(host.disconnected).toEqual(["bob"]);
  expect(connections.disconnected).toEqual([]);
});

it("requires a store", async () => {
  await expect(new Lift().disconnect({ userId: "ada" })).rejects.toMatchObject({ code: "STORE_REQUIRED" });
});
