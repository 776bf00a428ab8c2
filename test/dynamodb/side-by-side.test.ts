// A rolling deploy: functions of an earlier version and of this one take turns on the same tables. See test/fixtures/README.md.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnyContext, jsonLogger } from "lift-ws";
import { createTables } from "lift-ws/store/dynamodb";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as current from "../fixtures/package.ts";
import { loadPackage, PACKAGES } from "../fixtures/versions.ts";
import { CALL_TIMEOUT_MS, localClient, noSdkTarget } from "./connection-table.ts";

type Package = typeof current;
// biome-ignore lint/suspicious/noExplicitAny: each step knows the shape of the frames that it reads
type Frame = any;

const folder = mkdtempSync(join(tmpdir(), "lift-ws-versions-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ROOM = "room:lobby";
const everyone = () => true;
/** Not in the past: the engine has its own clock, and its TTL would delete the items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const now = () => NOW;

const pairs = PACKAGES.flatMap((version) => [
  { first: version, second: "the current version" },
  { first: "the current version", second: version },
]);

describe.each(pairs)("functions of $first and $second on one table", ({ first, second }) => {
  const connections = recordingConnections();
  const names = {
    tableName: `connections-${randomUUID()}`,
    scheduleTableName: `schedule-${randomUUID()}`,
    messageTableName: `messages-${randomUUID()}`,
    memberTableName: `members-${randomUUID()}`,
    requestTableName: `requests-${randomUUID()}`,
  };
  let one: ReturnType<typeof createFunctions>;
  let other: ReturnType<typeof createFunctions>;

  function createFunctions(code: Package, workers: number) {
    const { tableName, scheduleTableName, ...channelTables } = names;
    const calls = { ...noSdkTarget(), timeoutMs: CALL_TIMEOUT_MS };
    const connectionStore = code.dynamoDBConnectionStore({ ...calls, now, tableName, maxConnections: 10 });
    const streamer = code
      .createStreamer({
        channels: { room: { subscribe: everyone, publish: everyone, presence: true, maxBytes: 98_304 } },
        store: code.dynamoDBChannelStore({ ...calls, now, ...channelTables }),
        connectionStore,
        schedule: code.dynamoDBSchedule({ ...calls, tableName: scheduleTableName }),
        connections,
        now,
        middleware: [identifyByQuery],
        requests: { workers, gatherMs: 0 },
        logger: jsonLogger({ level: "silent" }),
      })
      .request("report", { estimatedMs: 60_000 }, async (input, { output, progress, checkpoint }) => {
        await output.write("one ");
        await checkpoint.save({ page: 1 });
        progress(50, "Half", input);
        return { rows: 512 };
      });
    const handle = streamer.app.webSocketHandler();
    const common = (connectionId: string) => ({ connectionId, requestContext: { connectedAt: NOW } });
    let requests = 0;
    const send = async (user: string, message: object): Promise<Frame> => {
      const id = `${workers}-${++requests}`;
      await handle(messageEvent("$default", { id, ...message }, common(user)), lambdaContext());
      const answers = frames(user).filter(
        ({ request_id }) => request_id === ("id" in message ? message.id : id),
      );
      return answers.at(-1)?.data ?? answers.at(-1);
    };
    return {
      connectionStore,
      tick: () => streamer.app.tick(),
      connect: (user: string, connectionId = user) =>
        handle(connectEvent({ ...common(connectionId), query: { user } }), lambdaContext()),
      disconnect: (user: string) => handle(disconnectEvent(common(user)), lambdaContext()),
      send,
      ask: (user: string, action: string, payload: object) => send(user, { action, payload }),
    };
  }

  async function identifyByQuery(ctx: AnyContext, next: () => Promise<void>) {
    const user = ctx.query("user");
    if (user !== undefined) ctx.setUserId(user).setTenantId("acme");
    await next();
  }

  const frames = (user: string): Frame[] => connections.jsonSentTo(user) as Frame[];
  const messagesOf = (user: string) =>
    frames(user)
      .filter(({ type }) => type === "message")
      .map(({ data }) => data);

  beforeAll(async () => {
    await createTables({ client: localClient(), ...names });
    const load = (version: string) => (PACKAGES.includes(version) ? loadPackage(version, folder) : current);
    // The first accepts requests, and the other runs them.
    one = createFunctions(await load(first), 0);
    other = createFunctions(await load(second), 1);
  });

  it("share connections and channels", async () => {
    expect(await one.connect("ada")).toMatchObject({ statusCode: 200 });
    expect(await other.connect("bob")).toMatchObject({ statusCode: 200 });
    const join = { channels: [{ channel: ROOM }] };
    const joined = await other.ask("ada", "subscribe", join);
    expect(await one.ask("bob", "subscribe", join)).toEqual(joined);

    const hello = { channel: ROOM, data: "hello", key: "k1" };
    const published = await one.ask("ada", "publish", hello);
    expect(await other.ask("ada", "publish", hello)).toEqual(published);
    const next = await other.ask("bob", "publish", { channel: ROOM, data: "hi" });
    expect(next.position).toEqual({ epoch: published.position.epoch, offset: 2 });
    expect([messagesOf("ada"), messagesOf("bob")]).toEqual([
      ["hello", "hi"],
      ["hello", "hi"],
    ]);
    const history = await one.ask("bob", "history", { channel: ROOM });
    expect(await other.ask("ada", "history", { channel: ROOM })).toEqual(history);
    expect(history.messages.map(({ data }: Frame) => data)).toEqual(["hello", "hi"]);
  });

  it("share a user's presence, and a message in parts", async () => {
    await other.ask("ada", "set_presence", { channel: ROOM, state: { typing: true } });
    const presence = await one.ask("bob", "presence", { channel: ROOM });
    expect(presence).toMatchObject({ users: [{ user: "ada", state: { typing: true } }, { user: "bob" }] });
    expect(await other.ask("ada", "presence", { channel: ROOM })).toEqual(presence);

    const action = { id: "large", action: "publish", payload: { channel: ROOM, data: "in parts" } };
    const text = JSON.stringify(action);
    const part = (index: number) => ({
      id: "large",
      action: "part",
      payload: { message: 1, index, count: 2, text: index === 0 ? text.slice(0, 20) : text.slice(20) },
    });
    expect(await one.send("ada", part(0))).toBeUndefined();
    expect(await other.send("ada", part(1))).toMatchObject({ position: { offset: 3 } });
    expect(messagesOf("bob").at(-1)).toBe("in parts");
  });

  it("share long requests: one accepts a request, and the other runs it", async () => {
    const call = { id: "r1", action: "report", payload: { year: 2026 } };
    expect(await one.send("ada", call)).toMatchObject({ type: "acknowledgment" });
    await one.connect("ada", "phone");
    await one.ask("phone", "subscribe", { channels: [{ channel: "request:r1" }] });
    await other.tick();
    for (const connection of ["ada", "phone"]) {
      await vi.waitFor(() =>
        expect(frames(connection).at(-1)).toMatchObject({ type: "complete", request_id: "r1" }),
      );
    }
    await one.disconnect("phone");
    const end = frames("ada").at(-1);
    expect(end).toMatchObject({ result: { rows: 512 }, output: 1 });
    expect(await one.send("ada", call)).toEqual(end);
    const info = await one.ask("ada", "request", { request: "r1" });
    expect(info).toMatchObject({ state: "COMPLETED", progress: { percentage: 50 }, result: { rows: 512 } });
    expect(await other.ask("ada", "request", { request: "r1" })).toEqual(info);
    const pending = { ...call, id: "r2" };
    await one.send("ada", pending);
    expect(await other.ask("ada", "cancel", { request: "r2" })).toEqual({ state: "CANCELLED" });
  });

  it("share the end of a connection", async () => {
    await other.disconnect("ada");
    expect(frames("bob").at(-1)).toMatchObject({ type: "presence", event: "leave", user: "ada" });
    expect(await one.ask("bob", "presence", { channel: ROOM })).toMatchObject({ users: [{ user: "bob" }] });
    expect([await one.connectionStore.count(), await other.connectionStore.count()]).toEqual([1, 1]);
    await one.disconnect("bob");
    expect(await other.connectionStore.count()).toBe(0);
  });
});
