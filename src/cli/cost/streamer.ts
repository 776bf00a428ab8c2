import { UNITS } from "./units.ts";
import { add, type Design, type Sender, times, type Units, type Work } from "./work.ts";
import { minutesInUse, type Operations, type Workload } from "./workload.ts";

const { events, channels: channelUnits, requests: requestUnits } = UNITS;

/** Shards of a channel's members. */
const SHARDS = 8;
/** The default of `membersPerPage`. */
const MEMBERS_PER_QUERY = 500;
const MEMBER_BYTES = 225;
/** Bytes of a stored message beside its data. */
const MESSAGE_BYTES = 230;
/** The item of its idempotency key, and what DynamoDB adds to both items. */
const KEY_BYTES = 300;
/** TTL deletes an item within a few days. */
const DAYS_UNTIL_DELETED = 2;
const REQUEST_BYTES = 1_024;
const CONNECTION_BYTES = 800;

/** Queries of the shards of the schedule and of the open requests, each at half a unit without results. */
const TICK: Units = { reads: 8 + 17, writes: 0 };

/** DynamoDB partitions of a new table on demand, and so shards of its stream. */
const NEW_TABLE_PARTITIONS = 4;
/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html */
const PARTITION_WRITES = 1_000;

/** Seconds of the fan-out function for a message that waits alone: `graceMs` less the batch window. */
const RECOVERY_SECONDS = 1;
/** A call waits until its last message is this old: `graceMs`. */
const RECOVERY_CALL_SECONDS = 3;
const RECOVERY_BATCH = 100;

/** The default of `awsConnections`, and the benchmark `fanout`: 10,000 recipients in 0.9 to 1.09 s on a core of its own. */
export const SENDER: Sender = { concurrency: 64, perSecond: 10_000 };

/** This package's Streamer, as `lift-ws/cdk` deploys it. */
export function streamer(operations: Operations, workload: Workload): Design {
  const stored = (perHour: number, bytes: number) =>
    perHour * workload.hoursPerDay * DAYS_UNTIL_DELETED * bytes;
  const messageBytes = workload.messageBytes + MESSAGE_BYTES + KEY_BYTES;
  return {
    name: "lift-ws",
    sender: SENDER,
    work: streamerWork(operations, workload),
    storedBytes:
      workload.connections * (CONNECTION_BYTES + workload.channels * 2 * MEMBER_BYTES) +
      stored(workload.requestsPerHour, REQUEST_BYTES) +
      (workload.atMostOnce ? 0 : stored(60 * workload.messagesPerMinute, messageBytes)),
    backups: true,
  };
}

export function streamerWork(operations: Operations, workload: Workload): Work[] {
  const { atMostOnce, channels } = workload;
  // Only $connect has the token, so each message reads the connection's row.
  const row = events.messageOfRow;
  const joined = atMostOnce
    ? channelUnits.addAnonymous
    : add(channelUnits.addAnonymous, channelUnits.readHead);
  return [
    {
      name: "connect",
      times: operations.connects,
      units: add(events.connect, events.expiryOnConnect),
      calls: 2,
    },
    {
      name: "subscribe",
      times: operations.subscribes,
      units: add(row, channelUnits.listChannels, times(channels, joined)),
      calls: 6,
      received: 1,
      answers: 1,
    },
    {
      name: "heartbeat",
      times: operations.heartbeats,
      units: atMostOnce ? row : add(row, times(channels, channelUnits.readHead)),
      calls: 2,
      received: 1,
      answers: 1,
    },
    {
      name: "publish",
      times: operations.publishes,
      units: add(row, publishUnits(workload)),
      calls: atMostOnce ? 2 : 5,
      received: 1,
      answers: 1,
      recipients: workload.fanOut,
    },
    ...(atMostOnce ? [] : [recoveryWork(operations, workload)]),
    {
      name: "request",
      times: operations.requests,
      units: add(row, requestUnits.countOwner, requestUnits.countTenant, requestUnits.create),
      calls: 4,
      received: 1,
      answers: 1,
    },
    {
      name: "dispatch",
      times: operations.requests,
      // Counts the running requests of all tenants and of one.
      units: times(2, requestUnits.countRunning),
      calls: 3,
    },
    {
      name: "worker",
      times: operations.requests,
      units: add(
        requestUnits.get,
        requestUnits.claimCounted,
        requestUnits.finish,
        channelUnits.listWatchers,
        requestUnits.countRunning,
      ),
      calls: 5,
      ms: 1_000 * workload.requestSeconds,
      answers: 1,
    },
    {
      name: "disconnect",
      times: operations.disconnects,
      units: add(
        events.disconnect,
        events.expiryOnDisconnect,
        channelUnits.listChannels,
        times(channels, channelUnits.removeAnonymous),
      ),
      calls: 5,
    },
    { name: "tick", times: operations.ticks, units: TICK, calls: 4, invocations: 2 },
  ];
}

/** The function on the stream of the messages' table. It reads each message once more, and waits until it may be late. */
function recoveryWork({ publishes }: Operations, workload: Workload): Work {
  const { reads } = channelUnits.getPendingFanOut;
  const size = Math.ceil((workload.messageBytes + MESSAGE_BYTES) / 4_096);
  const shards = partitions(workload);
  const inUse = 60 * minutesInUse(workload) * shards;
  const busySeconds = Math.min(inUse, publishes * RECOVERY_SECONDS);
  const calls = Math.max(Math.min(publishes, inUse / RECOVERY_CALL_SECONDS), publishes / RECOVERY_BATCH);
  return {
    name: "recovery",
    times: publishes,
    units: { reads: reads * size, writes: 0 },
    calls: 0,
    invocations: publishes === 0 ? 0 : calls / publishes,
    ms: publishes === 0 ? 0 : (1_000 * busySeconds) / publishes,
  };
}

/** Units of a message with a key, from its storage to the end of its fan-out. */
export function publishUnits({ messageBytes, fanOut, atMostOnce }: Workload): Units {
  if (atMostOnce) return listMembers(fanOut);
  const { appendWithKey, markDelivered, checkpoint } = channelUnits;
  const size = Math.ceil((messageBytes + MESSAGE_BYTES) / 1_024);
  return add(
    appendWithKey,
    // A transaction counts twice.
    { reads: 0, writes: 2 * (size - 1) },
    listMembers(fanOut),
    times(countPages(fanOut) - 1, checkpoint),
    times(size, markDelivered),
  );
}

/** Units of a list of a channel's members. */
export function listMembers(members: number): Units {
  const queries = countQueries(members);
  return { reads: queries * Math.max(1, Math.ceil(((members / queries) * MEMBER_BYTES) / 4_096)), writes: 0 };
}

function countQueries(members: number): number {
  return SHARDS * Math.max(1, Math.ceil(members / SHARDS / MEMBERS_PER_QUERY));
}

/** A page ends with the query that brings it to at least half of a query's most members. */
export function countPages(members: number): number {
  const queries = countQueries(members);
  const perPage = Math.max(1, Math.ceil(MEMBERS_PER_QUERY / 2 / (members / queries)));
  return Math.ceil(queries / perPage);
}

/** Partitions of the messages' table. */
export function partitions(workload: Workload): number {
  const { writes } = publishUnits(workload);
  const perSecond = (workload.messagesPerMinute / 60) * writes;
  return Math.max(NEW_TABLE_PARTITIONS, Math.ceil(perSecond / PARTITION_WRITES));
}
