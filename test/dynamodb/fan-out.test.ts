// Recovery of stored messages after crashed publishers, by the function on the table stream.
import { jsonLogger } from "lift-ws";
import { createStreamer, type FanOutHandler } from "lift-ws/streamer";
import { lambdaContext, type RecordingConnections, recordingConnections } from "lift-ws/testing";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamPoller,
} from "../../src/lambda-emulator/index.ts";
import { MESSAGE_TABLE_STREAM_SOURCE } from "../../src/store/dynamodb/index.ts";
import type { Member } from "../../src/store/index.ts";
import { ChannelTables } from "./channel-tables.ts";
import { LOCAL, MINUTE } from "./connection-table.ts";

const ROOM = "room:lobby";
const KEY = JSON.stringify(["acme", ROOM]);
const OTHER = JSON.stringify(["acme", "room:other"]);
const tenantId = "acme";

let tables: ChannelTables;
let connections: RecordingConnections;
const pollers: TableStreamPoller[] = [];

beforeEach(async () => {
  tables = await ChannelTables.create("AWS SDK", { tableStream: true });
  connections = recordingConnections();
});

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
});

/** The application in its own container. */
function container(using = connections) {
  const store = tables.store();
  const logger = jsonLogger({ level: "silent" });
  const channels = { room: { presence: true } };
  return {
    store,
    streamer: createStreamer({ channels, store, connections: using, now: tables.now, logger }),
  };
}

/** A container that crashes as soon as a message is stored. */
function crashing() {
  const { store, streamer } = container();
  vi.spyOn(store.members, "listMembers").mockImplementation(() => {
    throw new Error("killed");
  });
  return streamer;
}

async function join(channel: string, ...ids: string[]): Promise<void> {
  const { members } = tables.store();
  for (let from = 0; from < ids.length; from += 50) {
    await Promise.all(ids.slice(from, from + 50).map((id) => members.add(channel, member(id))));
  }
}

const member = (connectionId: string): Member => ({
  connectionId,
  endpoint: "https://api.example.com/test",
  joinedAt: tables.now(),
  expiresAt: tables.now() + 130 * MINUTE,
});

/** Invokes a function from the message table's stream, as `lift-ws dev` does. */
async function feed(handler: (event: TableStreamEvent) => unknown): Promise<void> {
  const { batchWindowSeconds: _, maxRecordAgeSeconds: __, ...source } = MESSAGE_TABLE_STREAM_SOURCE;
  const endpoint = inject("dynamoDBEndpoint");
  const tableName = tables.messageTableName;
  pollers.push(await pollTableStream({ ...source, handler, tableName, endpoint, ...LOCAL, pollMs: 20 }));
}

const calling = (handler: FanOutHandler) => (event: TableStreamEvent) => handler(event, lambdaContext());
const dataOf = (id: string) =>
  connections.jsonSentTo(id).map((message) => (message as { data: unknown }).data);
const pending = async () => (await tables.readItems("messages")).filter((item) => item.Pending !== undefined);
const finished = () => vi.waitFor(async () => expect(await pending()).toEqual([]));

describe("stored messages without delivery", () => {
  it("are delivered by the table stream, in order, after all publishers ended", async () => {
    await join(KEY, "a", "b");
    await feed(calling(container().streamer.fanOutHandler({ graceMs: 0 })));
    const published = [];
    for (const data of [1, 2, 3]) published.push(await crashing().publish(ROOM, data, { tenantId }));
    await finished();
    expect([dataOf("a"), dataOf("b")]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(connections.jsonSentTo("a")).toMatchObject(
      published.map(({ id, position }) => ({ type: "message", channel: ROOM, id, position })),
    );
  });

  it("are not sent again when the publisher delivered them", async () => {
    await join(KEY, "a");
    const events: TableStreamEvent[] = [];
    const handler = container().streamer.fanOutHandler();
    await feed((event) => {
      events.push(event);
      return handler(event, lambdaContext());
    });
    await container().streamer.publish(ROOM, 1, { tenantId, key: "k" });
    tables.advance(3_000);
    await vi.waitFor(() => expect(events).toHaveLength(1));
    await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
    // The stream also has the head, the key and the end of the fan-out, for which no function is invoked.
    expect(events[0]?.Records).toHaveLength(1);
    expect(dataOf("a")).toEqual([1]);
  });

  it("are sent twice with the same id when the publisher is slow", async () => {
    await join(KEY, "a");
    const slow = container();
    const { listMembers } = slow.store.members;
    vi.spyOn(slow.store.members, "listMembers").mockImplementation(async function* (...asked) {
      await finished();
      yield* listMembers.apply(slow.store.members, asked);
    });
    await feed(calling(container().streamer.fanOutHandler({ graceMs: 0 })));
    await slow.streamer.publish(ROOM, 1, { tenantId });
    const [first, second, ...more] = connections.sentTo("a");
    expect(second).toBe(first);
    expect(more).toEqual([]);
  });

  it("resume where the time ran out, without a second delivery to earlier recipients", async () => {
    const ids = Array.from({ length: 900 }, (_, n) => `c${n}`);
    await join(KEY, ...ids);
    await crashing().publish(ROOM, "large", { tenantId });
    // Each call has time for a third of the members.
    const handler = container(connections).streamer.fanOutHandler({ graceMs: 0 });
    const reports: number[] = [];
    await feed(async (event) => {
      const before = connections.sent.length;
      const getRemainingTimeInMillis = () => (connections.sent.length - before > 400 ? 0 : 29_000);
      const report = await handler(event, lambdaContext({ getRemainingTimeInMillis }));
      reports.push(report.batchItemFailures.length);
      return report;
    });
    await vi.waitFor(() => expect(reports.at(-1)).toBe(0));
    expect(await pending()).toEqual([]);
    expect(reports.length).toBeGreaterThan(1);
    expect(reports).toEqual([...reports.slice(0, -1).map(() => 1), 0]);
    const times = ids.map((id) => connections.sentTo(id).length);
    expect(Math.min(...times)).toBe(1);
    // Only members of the page in which the time ran out get it again, with the same id.
    const twice = ids.filter((_, at) => times[at] !== 1);
    expect(twice.length).toBeLessThan(400);
    expect(connections.sent.length).toBeLessThan(900 * 2);
    expect(new Set(connections.sent.map(({ data }) => JSON.parse(data).id)).size).toBe(1);
  });

  it("remove gone connections from all channels", async () => {
    await join(KEY, "a", "b");
    await join(OTHER, "b");
    connections.gone("b");
    await crashing().publish(ROOM, 1, { tenantId });
    await feed(calling(container().streamer.fanOutHandler({ graceMs: 0 })));
    await finished();
    const { members } = tables.store();
    await vi.waitFor(async () => expect(await members.count(OTHER, tables.now())).toBe(0));
    expect(await members.count(KEY, tables.now())).toBe(1);
    expect(dataOf("a")).toEqual([1]);
  });

  it("are fanned out again after the function crashed", async () => {
    await join(KEY, "a");
    await crashing().publish(ROOM, 1, { tenantId });
    const handler = container().streamer.fanOutHandler({ graceMs: 0 });
    let deaths = 2;
    await feed(async (event) => {
      const answer = await handler(event, lambdaContext());
      if (deaths-- > 0) throw new Error("Runtime.ExitError");
      return answer;
    });
    await vi.waitFor(() => expect(deaths).toBe(-1));
    await finished();
    expect(dataOf("a")).toEqual([1]);
  });
});
