// Reads the raw items that earlier versions wrote; see test/fixtures/README.md.
import { randomUUID } from "node:crypto";
import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { parseFlag } from "lift-ws/rollout";
import {
  createTables,
  type DynamoDBChannelStore,
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  dynamoDBSchedule,
  dynamoDBTicketStore,
} from "lift-ws/store/dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import {
  byId,
  CONTINUED,
  continueRequests,
  NOW,
  REQUESTS,
  readRequests,
  readTables,
  VERSIONS,
} from "../fixtures/versions.ts";
import { collect } from "../streamer/simulation.ts";
import { CALL_TIMEOUT_MS, localClient } from "./connection-table.ts";

const TABLES = ["connections", "schedule", "tickets", "messages", "members", "requests"] as const;
const HOUR = 3_600_000;
const CHANNEL = "room:lobby";
const client = localClient();

describe.each(VERSIONS)("tables of %s", (version) => {
  const items = readTables(version);
  const names = Object.fromEntries(TABLES.map((table) => [table, `${table}-${randomUUID()}`])) as {
    readonly [Table in (typeof TABLES)[number]]: string;
  };
  const calls = { client, timeoutMs: CALL_TIMEOUT_MS };
  const now = () => NOW;
  let channels: DynamoDBChannelStore;

  beforeAll(async () => {
    await createTables({
      client,
      tableName: names.connections,
      scheduleTableName: names.schedule,
      ticketTableName: names.tickets,
      messageTableName: names.messages,
      memberTableName: names.members,
      requestTableName: names.requests,
    });
    for (const table of TABLES) {
      for (const Item of items[table] ?? []) {
        await client.send(new PutItemCommand({ TableName: names[table], Item }));
      }
    }
    channels = dynamoDBChannelStore({
      ...calls,
      now,
      messageTableName: names.messages,
      memberTableName: names.members,
      requestTableName: names.requests,
    });
  });

  it("have connections", async () => {
    const store = dynamoDBConnectionStore({
      ...calls,
      now,
      tableName: names.connections,
      maxConnections: 10,
    });
    const connection = {
      id: "c1=",
      userId: "ada",
      tenantId: "acme",
      metadata: { device: "phone" },
      state: { room: "lobby", count: 1 },
      sourceIp: "192.0.2.1",
      userAgent: "agent/1.0",
      endpoint: "https://api.example.com/test",
      connectedAt: NOW,
      expiresAt: NOW + HOUR,
    };
    expect(await store.get("c1=")).toEqual(connection);
    expect(await collect(store.listByUser("ada"))).toEqual([connection]);
    expect(await collect(store.listByTenant("acme"))).toEqual([connection]);
    expect(await store.count()).toBe(2);
    expect(await store.get("gone=")).toBeUndefined();
    expect(await store.get("gone=", undefined, { removed: true })).toMatchObject({ userId: "ada" });
    await store.delete("c1=");
    expect(await store.count()).toBe(1);
  });

  it("have a schedule", async () => {
    const schedule = dynamoDBSchedule({ ...calls, tableName: names.schedule });
    const due = await collect(schedule.listDue(NOW));
    expect(due.sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      { kind: "close", id: "a", dueAt: NOW, data: { n: "a" } },
      { kind: "close", id: "b", dueAt: NOW, data: { n: "b" } },
    ]);
  });

  it("have valid tickets", async () => {
    const tickets = dynamoDBTicketStore({ ...calls, tableName: names.tickets });
    expect(await tickets.take("hash", NOW)).toEqual({ userId: "ada" });
  });

  it("have a history, and its offsets continue", async () => {
    const retention = { size: 100, ageMs: 300_000 };
    const { head, messages } = await channels.history.read(CHANNEL, { limit: 10, retention, now: NOW });
    expect(messages).toEqual([
      { id: "m1", data: { text: "hello é" }, userId: "ada", at: NOW, offset: 1 },
      { id: "m2", data: null, at: NOW + 1, offset: 2 },
      { id: "m3", data: ["x", 2.5], userId: "bob", at: NOW + 2, offset: 3 },
    ]);
    expect(await channels.history.getPendingFanOut(CHANNEL, 1)).toBeUndefined();
    expect(await channels.history.getPendingFanOut(CHANNEL, 2)).toMatchObject({ cursor: "[3]" });
    const message = { id: "m4", data: 4, at: NOW + 3, key: "k1" };
    expect(await channels.history.append(CHANNEL, message, retention)).toMatchObject({
      epoch: head.epoch,
      duplicate: true,
      message: { id: "m1", offset: 1 },
    });
    expect(await channels.history.append(CHANNEL, { ...message, key: "k2" }, retention)).toMatchObject({
      epoch: head.epoch,
      message: { offset: 4 },
    });
  });

  it("have members and presence", async () => {
    const { members, chunks } = channels;
    const pages = await collect(members.listMembers(CHANNEL, NOW));
    const found = pages
      .flatMap((page) => page.members)
      .map(({ connectionId, userId }) => [connectionId, userId]);
    expect(found.sort()).toEqual([
      ["c1", "ada"],
      ["c2", "ada"],
      ["c3", undefined],
    ]);
    const ada = { userId: "ada", since: NOW, state: { typing: true } };
    expect(await collect(members.listPresence(CHANNEL, NOW))).toEqual([ada]);
    expect(await collect(members.listChannels("c1"))).toEqual([CHANNEL]);
    expect(await chunks.add("c1", { message: 1, index: 1, count: 2, text: "two" }, NOW)).toEqual({
      whole: "one two",
    });
    expect(await members.remove(CHANNEL, "c1")).toBeUndefined();
    expect(await members.remove(CHANNEL, "c2")).toEqual(ada);
  });

  // The version before kept none.
  if (version !== "0.1.0-early")
    it("have requests in each state, which go on", async () => {
      const requests = channels.requests!;
      expect((await readRequests(requests)).sort(byId)).toEqual(REQUESTS.toSorted(byId));
      expect((await collect(requests.listFailed())).map(({ id }) => id)).toEqual(["failed"]);
      const due = await collect(requests.listDue(NOW + 60_000));
      expect(due.map(({ id }) => id).sort()).toEqual(["pending", "retrying", "running"]);
      expect(await continueRequests(requests)).toMatchObject(CONTINUED);
    });

  if (version !== "0.1.0-early")
    it("have a flag's steps", () => {
      expect(parseFlag(items.flags?.[0]?.Value?.S)).toEqual([
        { percent: 5, since: NOW + 60_000 },
        { percent: 25, since: NOW + HOUR + 60_000 },
      ]);
    });
});
