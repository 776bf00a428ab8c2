import type { Design, Units } from "./work.ts";
import type { Operations, Workload } from "./workload.ts";

/** Read units of bytes that are read in one query or scan, eventually consistent. */
function eventually(bytes: number): Units {
  return { reads: Math.max(0.5, Math.ceil(bytes / 4_096) / 2), writes: 0 };
}

const NAIVE_ROW_BYTES = 100;
const PAGE_BYTES = 1_024 * 1_024;

/**
 * AWS's sample https://github.com/aws-samples/simple-websockets-chat-app, with a room in each row: a write on connect and
 * on disconnect, and a scan of all connections for each message. Nothing is stored, acknowledged or recovered.
 */
export function naive(operations: Operations, workload: Workload): Design {
  const table = workload.connections * NAIVE_ROW_BYTES;
  const write = { reads: 0, writes: 1 };
  return {
    name: "naive",
    // 50 sockets are the AWS SDK's default. Its sends a second: the benchmark `fanout`.
    sender: { concurrency: 50, perSecond: 2_500 },
    work: [
      { name: "connect", times: operations.connects, units: write, calls: 1 },
      { name: "subscribe", times: operations.subscribes, units: write, calls: 1, received: 1 },
      {
        name: "publish",
        times: operations.publishes,
        units: eventually(table),
        calls: Math.max(1, Math.ceil(table / PAGE_BYTES)),
        received: 1,
        recipients: workload.fanOut,
      },
      {
        name: "request",
        times: operations.requests,
        units: { reads: 0, writes: 0 },
        calls: 0,
        ms: 1_000 * workload.requestSeconds,
        received: 1,
        answers: 1,
      },
      { name: "disconnect", times: operations.disconnects, units: write, calls: 1 },
    ],
    storedBytes: table,
    backups: false,
  };
}

const ORIGINAL_ROW_BYTES = 500;
/** A put or delete of an item, in the table and in two indexes with all attributes. */
const INDEXED_WRITE: Units = { reads: 0, writes: 3 };
/** `Manager.Send` reads the connection's row and updates its `LastPing`, in both indexes too. */
const SEND: Units = { reads: 0.5, writes: 3 };
/** A status is in the sort key: `UpdateStatus` queries, deletes and creates the request. */
const UPDATE_STATUS: Units = { reads: 0.5, writes: 6 };

/**
 * The pattern of https://github.com/pay-theory/streamer at commit 5081fce, in the cases in which its code works. A message to a
 * room is `ListByTenant` and `Broadcast`, as its migration guide shows, and an answer by `Send`. It stores no messages.
 */
export function original(operations: Operations, workload: Workload): Design {
  const room = eventually(workload.fanOut * ORIGINAL_ROW_BYTES);
  return {
    name: "original",
    // `Broadcast` has ten workers.
    sender: { concurrency: 10, perSecond: 10_000 },
    work: [
      {
        name: "connect",
        times: operations.connects,
        units: INDEXED_WRITE,
        calls: 3,
        metricCalls: 2,
        logLines: 2,
      },
      {
        name: "publish",
        times: operations.publishes,
        units: { reads: room.reads + SEND.reads, writes: SEND.writes },
        calls: 2,
        received: 1,
        answers: 1,
        recipients: workload.fanOut,
        logLines: 4,
      },
      {
        name: "request",
        times: operations.requests,
        units: { reads: SEND.reads, writes: INDEXED_WRITE.writes + SEND.writes },
        calls: 2,
        received: 1,
        answers: 1,
        logLines: 2,
      },
      {
        // PROCESSING and COMPLETED; progress at 0 and at 100 %, each after a check of the connection; the result.
        name: "processor",
        times: operations.requests,
        units: {
          reads: 2 * UPDATE_STATUS.reads + 0.5 + 2 * 0.5 + 3 * SEND.reads,
          writes: 2 * UPDATE_STATUS.writes + 3 * SEND.writes,
        },
        calls: 12,
        // The later states of the request are records of the stream too, and there is no filter.
        invocations: 2,
        ms: 1_000 * workload.requestSeconds,
        answers: 3,
        logLines: 8,
      },
      {
        name: "disconnect",
        times: operations.disconnects,
        units: { reads: 0.5, writes: INDEXED_WRITE.writes },
        calls: 5,
        metricCalls: 3,
        logLines: 3,
      },
    ],
    storedBytes: 3 * ORIGINAL_ROW_BYTES * workload.connections,
    backups: true,
  };
}
