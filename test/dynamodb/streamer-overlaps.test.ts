// One Streamer in several containers, whose events interleave at each DynamoDB request.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { jsonLogger } from "lift-ws";
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { createStreamer } from "lift-ws/streamer";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { collect, OPEN } from "../streamer/simulation.ts";
import { runInEveryOrder } from "../support/interleaving.ts";
import { ChannelTables } from "./channel-tables.ts";
import { localClient, MINUTE } from "./connection-table.ts";
import { withSteps } from "./steps.ts";

let world: ChannelTables;
const schedule = memorySchedule();

beforeEach(async () => {
  world = await ChannelTables.create();
  // Random delays are zero, so that an order can be repeated.
  vi.spyOn(Math, "random").mockReturnValue(0);
});

afterEach(() => void vi.restoreAllMocks());

/** One connection and the containers that handle its events. */
function lambdas(id: string) {
  const connectionStore = memoryConnectionStore({ now: world.now });
  const connections = recordingConnections();
  const connectedAt = world.now();
  const common = () => ({
    connectionId: id,
    requestContext: { connectedAt, requestTimeEpoch: world.now() },
  });
  const container = (client: DynamoDBClient = localClient()) => {
    const streamer = createStreamer({
      channels: {
        room: { ...OPEN, presence: true },
        plain: OPEN,
        show: { ...OPEN, live: { graceMs: MINUTE } },
      },
      store: world.store({ client }),
      connectionStore,
      schedule,
      connections,
      now: world.now,
      logger: jsonLogger({ level: "silent" }),
      middleware: [
        async (ctx, next) => {
          const user = ctx.query("user");
          if (user) ctx.setUserId(user);
          await next();
        },
      ],
    });
    const handler = streamer.app.webSocketHandler();
    return {
      streamer,
      connect: () => handler(connectEvent({ ...common(), query: { user: "ada" } }), lambdaContext()),
      send: (action: string, payload: object) =>
        handler(messageEvent("$default", { id: "1", action, payload }, common()), lambdaContext()),
      end: () => {
        connections.gone(id);
        return handler(disconnectEvent(common()), lambdaContext());
      },
    };
  };
  return { container, connections };
}

/** Runs a request of a connection and its $disconnect in another container, in every order of their store requests. */
async function playWithEnd(
  action: string,
  payload: (channel: string) => object,
  judge: (channel: string, container: ReturnType<ReturnType<typeof lambdas>["container"]>) => Promise<void>,
): Promise<number> {
  let runs = 0;
  return runInEveryOrder({ sides: 2, switches: 1 }, async ([asking, ending]) => {
    const name = `r${runs++}`;
    const { container } = lambdas(name);
    const watcher = container();
    await watcher.connect();
    const [asked, ended] = [
      container(withSteps(localClient(), asking!)),
      container(withSteps(localClient(), ending!)),
    ];
    await Promise.all([asked.send(action, payload(name)), ended.end()]);
    await judge(name, watcher);
  });
}

describe("a $disconnect that runs at once in another container", () => {
  it.each(["room", "plain"] as const)(
    "leaves nobody of a subscribe to %s",
    { timeout: 120_000 },
    async (namespace) => {
      const subscribe = (name: string) => ({ channels: [{ channel: `${namespace}:${name}` }] });
      const played = await playWithEnd("subscribe", subscribe, async (name, { streamer }) => {
        const channel = `${namespace}:${name}` as const;
        expect(await streamer.count(channel)).toBe(0);
        if (namespace === "room") expect(await collect(streamer.presence(`room:${name}`))).toEqual([]);
        expect(await collect(world.store().members.listChannels(name))).toEqual([]);
      });
      expect(played).toBeGreaterThan(10);
    },
  );

  it("ends the stream of a stream_start after its grace period", { timeout: 120_000 }, async () => {
    const start = (name: string) => ({ channel: `show:${name}` });
    const played = await playWithEnd("stream_start", start, async (name, { streamer }) => {
      world.advance(2 * MINUTE);
      await streamer.app.tick();
      expect(await streamer.stream(`show:${name}`)).toBeUndefined();
    });
    expect(played).toBeGreaterThan(10);
  });
});

it("removes an unreferenced member from the channel when a message finds it gone", async () => {
  const { container, connections } = lambdas("c1");
  const { streamer, connect } = container();
  await connect();
  await world.store().members.add('[null,"room:a"]', {
    connectionId: "c1",
    userId: "ada",
    endpoint: "https://api.example.com/test",
    joinedAt: world.now(),
    expiresAt: world.now() + 130 * MINUTE,
  });
  // The state that an earlier version left when it deleted the subscription before the other writes.
  const ghost = (await world.readItems("members")).find(({ Group }) => Group?.S?.startsWith("connection"));
  await world.removeItem("members", ghost!);
  connections.gone("c1");
  await streamer.publish("room:a", 1);
  expect(await streamer.count("room:a")).toBe(0);
  expect(await collect(streamer.presence("room:a"))).toEqual([]);
});
