import { jsonLogger } from "lift-ws";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { createStreamer } from "lift-ws/streamer";
import { recordingConnections } from "lift-ws/testing";
import { expect, it } from "vitest";
import { collect, OPEN } from "../streamer/simulation.ts";
import { ChannelTables } from "./channel-tables.ts";
import { MINUTE } from "./connection-table.ts";

it("removes an unreferenced member from the channel when a message finds it gone", async () => {
  const tables = await ChannelTables.create();
  const connections = recordingConnections();
  const streamer = createStreamer({
    channels: { room: { ...OPEN, presence: true } },
    store: tables.store(),
    connectionStore: memoryConnectionStore({ now: tables.now }),
    connections,
    now: tables.now,
    logger: jsonLogger({ level: "silent" }),
  });
  await tables.store().members.add('[null,"room:a"]', {
    connectionId: "c1",
    userId: "ada",
    endpoint: "https://api.example.com/test",
    joinedAt: tables.now(),
    expiresAt: tables.now() + 130 * MINUTE,
  });
  // The state that an earlier version left when it deleted the subscription before the other writes.
  const ghost = (await tables.readItems("members")).find(({ Group }) => Group?.S?.startsWith("connection"));
  await tables.removeItem("members", ghost!);
  connections.gone("c1");
  await streamer.publish("room:a", 1);
  expect(await streamer.count("room:a")).toBe(0);
  expect(await collect(streamer.presence("room:a"))).toEqual([]);
});
