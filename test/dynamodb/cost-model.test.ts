// A run of Streamer's functions, whose units the cost model must predict.
import { randomUUID } from "node:crypto";
import { jsonLogger } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import {
  createTables,
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  dynamoDBSchedule,
} from "lift-ws/store/dynamodb";
import { createStreamer, type WorkerEvent } from "lift-ws/streamer";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { afterEach, beforeEach, expect, inject, it, vi } from "vitest";
import { streamerWork } from "../../src/cli/cost/streamer.ts";
import { toUnits } from "../../src/cli/cost/work.ts";
import { DEFAULTS, type Operations, type Workload } from "../../src/cli/cost/workload.ts";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamPoller,
} from "../../src/lambda-emulator/index.ts";
import { MESSAGE_TABLE_STREAM_SOURCE, REQUEST_TABLE_STREAM_SOURCE } from "../../src/store/dynamodb/index.ts";
import { UnitCounter, type Units } from "../support/unit-counter.ts";
import { LOCAL, localClient, MINUTE } from "./connection-table.ts";

const PUBLISHES = 30;
const REQUESTS = 4;
const TICKS = 3;
/** Members of each of the two channels. */
const FAN_OUT = 6;
const IDS = Array.from({ length: 2 * FAN_OUT }, (_, n) => `L0SM9cOFvHcCI${n}=`);
const OPEN = { subscribe: () => true, publish: () => true };

let counter: UnitCounter;
const pollers: TableStreamPoller[] = [];
const names = {
  tableName: "",
  scheduleTableName: "",
  messageTableName: "",
  memberTableName: "",
  requestTableName: "",
};

beforeEach(async () => {
  for (const name of Object.keys(names) as (keyof typeof names)[]) names[name] = `${name}-${randomUUID()}`;
  await createTables({ client: localClient(), ...names });
  counter = new UnitCounter(localClient());
});

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
});

function createApp() {
  const now = () => Date.now();
  const { client } = counter;
  const { tableName, scheduleTableName, ...tables } = names;
  const token = async (userId: string) => ({ userId, tenantId: "acme", expiresAt: now() + 60 * MINUTE });
  return createStreamer({
    channels: { room: OPEN, cursor: { ...OPEN, delivery: "at-most-once" } },
    auth: webSocketAuth({ validateToken: token }),
    store: dynamoDBChannelStore({ ...tables, client }),
    connectionStore: dynamoDBConnectionStore({ tableName, client }),
    schedule: dynamoDBSchedule({ tableName: scheduleTableName, client }),
    connections: recordingConnections(),
    logger: jsonLogger({ level: "silent" }),
    requests: { workers: 0 },
  }).request("work", { estimatedMs: MINUTE }, () => "x".repeat(250));
}

/** Invokes a function for so many records of a table's stream, one at a time. */
async function feed(
  tableName: string,
  { filter }: { readonly filter: object },
  count: number,
  handler: (event: TableStreamEvent) => unknown,
): Promise<void> {
  let received = 0;
  const endpoint = inject("dynamoDBEndpoint");
  const invoke = async (event: TableStreamEvent) => {
    const answer = await handler(event);
    received += event.Records.length;
    return answer;
  };
  const options = { handler: invoke, tableName, endpoint, ...LOCAL, pollMs: 20, batchSize: 1, filter };
  pollers.push(await pollTableStream(options as never));
  await vi.waitFor(() => expect(received).toBe(count));
}

/** Runs the functions, and returns how often each thing happened. */
async function runFunctions(namespace: "room" | "cursor"): Promise<Operations> {
  const streamer = createApp();
  const handler = streamer.app.webSocketHandler();
  const requestContext = { connectedAt: Date.now() };
  const channelOf = (at: number) => `${namespace}:${at % 2}`;
  const send = (connectionId: string, id: string, action: string, payload: object) =>
    handler(
      messageEvent("$default", { id, action, payload }, { connectionId, requestContext }),
      lambdaContext(),
    );
  for (const [at, connectionId] of IDS.entries()) {
    const query = { token: `user-${at}` };
    await handler(connectEvent({ connectionId, query, requestContext }), lambdaContext());
    await send(connectionId, "1", "subscribe", { channels: [{ channel: channelOf(at) }] });
  }
  for (let n = 0; n < PUBLISHES; n++) {
    const payload = { channel: channelOf(n), data: "x".repeat(200), key: `key-${n}` };
    await send(IDS[n % IDS.length]!, "2", "publish", payload);
  }
  for (const [at, connectionId] of IDS.entries()) {
    await send(connectionId, "3", "heartbeat", { positions: { [channelOf(at)]: { epoch: "e", offset: 1 } } });
  }
  for (let n = 0; n < REQUESTS; n++) await send(IDS[n]!, `request-${n}`, "work", { text: "x".repeat(200) });
  let finished = 0;
  const limits = { all: 100, tenant: 10 };
  const work = streamer.workerHandler({ invoke: () => {}, limits });
  const invoke = async (event: WorkerEvent) => {
    await work(event, lambdaContext());
    finished++;
  };
  if (namespace === "room") {
    const recover = streamer.fanOutHandler({ graceMs: 0 });
    await feed(names.messageTableName, MESSAGE_TABLE_STREAM_SOURCE, PUBLISHES, (event) =>
      recover(event, lambdaContext()),
    );
  }
  const dispatch = streamer.dispatchHandler({ invoke, limits });
  await feed(names.requestTableName, REQUEST_TABLE_STREAM_SOURCE, REQUESTS, (event) =>
    dispatch(event, lambdaContext()),
  );
  for (let n = 0; n < TICKS; n++) {
    await dispatch({}, lambdaContext());
    await streamer.app.tickHandler()({}, lambdaContext());
  }
  for (const connectionId of IDS) {
    await handler(disconnectEvent({ connectionId, requestContext }), lambdaContext());
  }
  expect(finished).toBe(REQUESTS);
  return {
    connects: IDS.length,
    disconnects: IDS.length,
    subscribes: IDS.length,
    heartbeats: IDS.length,
    publishes: PUBLISHES,
    requests: REQUESTS,
    ticks: TICKS,
  };
}

it.each([
  ["at least once", "room"],
  ["at most once", "cursor"],
] as const)("predicts the units of channels and requests within 10 %%: %s", async (_, namespace) => {
  const workload: Workload = { ...DEFAULTS, fanOut: FAN_OUT, atMostOnce: namespace === "cursor" };
  const operations = await runFunctions(namespace);
  const counted = counter.take();
  const predicted = toUnits(streamerWork(operations, workload));
  const off = (of: keyof Units) => Math.abs(predicted[of] / counted[of] - 1);
  expect({ counted, predicted, isClose: off("reads") <= 0.1 && off("writes") <= 0.1 }).toMatchObject({
    isClose: true,
  });
});
