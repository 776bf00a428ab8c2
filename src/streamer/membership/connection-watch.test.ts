import { describe, expect, it } from "vitest";
import { memorySchedule } from "../../store/memory/index.ts";
import type { ClientRequest } from "../call-context.ts";
import { Channels } from "../channels.ts";
import { readNamespaces } from "../namespaces.ts";
import { ConnectionWatch } from "./connection-watch.ts";

const NOW = 1_000;

function setUp(heartbeatMs?: number) {
  const schedule = memorySchedule();
  const channels = new Channels(
    readNamespaces({ plain: {}, room: { presence: true }, show: { live: true } }, () => NOW),
  );
  const watch = new ConnectionWatch(schedule, channels, () => NOW, heartbeatMs);
  const request = {
    ctx: { connectionId: "ada-1", asWebSocket: () => ({ endpoint: "e1" }) },
  } as unknown as ClientRequest;
  return { watch, request, items: () => [...(schedule.listAll?.() ?? [])] };
}

const item = (dueAt: number) =>
  expect.objectContaining({ kind: "streamer:sweep", id: "ada-1", dueAt, data: { endpoint: "e1" } });

describe("a watched connection", () => {
  it("is checked after the idle limit, the heartbeat interval, or the given time", async () => {
    const idle = setUp();
    await idle.watch.start(idle.request);
    expect(idle.items()).toEqual([item(NOW + 600_000)]);
    const beating = setUp(30_000);
    await beating.watch.start(beating.request);
    expect(beating.items()).toEqual([item(NOW + 30_000)]);
    await beating.watch.start(beating.request, 0);
    expect(beating.items()).toEqual([item(NOW)]);
  });

  it("is watched anew by a heartbeat if clients have to send them", async () => {
    const idle = setUp();
    await idle.watch.onHeartbeat(idle.request);
    expect(idle.items()).toEqual([]);
    const beating = setUp(30_000);
    await beating.watch.onHeartbeat(beating.request);
    expect(beating.items()).toEqual([item(NOW + 30_000)]);
  });
});

it.each([
  ["no channel", [], true, false],
  ["a channel without presence and live streams", ['[null,"plain:a"]'], true, false],
  ["a user in a channel with presence", ['[null,"plain:a"]', '[null,"room:a"]'], true, true],
  ["nobody in a channel with presence", ['[null,"room:a"]'], false, false],
  ["a channel with live streams", ['[null,"show:a"]'], false, true],
  ["the owner of a stream", ['[null,"plain:a","owners"]'], false, true],
  ["a channel that is not configured any more", ['[null,"gone:a"]'], true, false],
])("tells whether a connection is watched: %s", (_, keys, isUser, expected) => {
  expect(setUp().watch.isRequired(keys, isUser)).toBe(expected);
});
