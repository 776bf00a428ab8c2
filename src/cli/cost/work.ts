import type { Usage } from "./prices.ts";
import type { MeasuredUnits } from "./units.ts";
import { minutesInUse, type Workload } from "./workload.ts";

export type Units = Omit<MeasuredUnits, "row">;

/** An operation: how often it happens, and what it takes each time. */
export interface Work {
  readonly name: string;
  readonly times: number;
  readonly units: Units;
  /** Calls of DynamoDB or CloudWatch that wait for each other. */
  readonly calls: number;
  /** Lambda requests. Default 1. */
  readonly invocations?: number;
  /** Time of a function in addition to its calls and sends. */
  readonly ms?: number;
  /** Messages from the client, each within 32 KB. */
  readonly received?: number;
  /** Messages to the client that answer it, each within 32 KB. */
  readonly answers?: number;
  /** Recipients of a published message. */
  readonly recipients?: number;
  /** Calls of PutMetricData. */
  readonly metricCalls?: number;
  /** Lines that the function writes to its log. */
  readonly logLines?: number;
}

/** How a design sends to many connections. */
export interface Sender {
  /** Sends at the same time. */
  readonly concurrency: number;
  /** Sends a second of a whole vCPU. */
  readonly perSecond: number;
}

/** A design of the same application. */
export interface Design {
  readonly name: string;
  readonly sender: Sender;
  readonly work: readonly Work[];
  readonly storedBytes: number;
  /** Whether its tables have point-in-time recovery. */
  readonly backups: boolean;
}

/**
 * Times in Lambda, the same for each design. They are assumed: nothing here has run on AWS. DynamoDB's documentation says
 * "single-digit milliseconds"; the benchmark `fanout` answers a send after 10 ms too.
 */
export const ASSUMED = { eventMs: 2, callMs: 5, sendMs: 10 };

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html */
const MB_PER_CPU = 1_769;
/** Bytes of a frame beside the data: type, id, channel, user, position and time. */
export const FRAME_BYTES = 250;
/** API Gateway meters messages in this size. */
const METERED_BYTES = 32 * 1_024;
/** START, END and REPORT, with the 26 bytes that CloudWatch adds to each line. */
export const INVOCATION_LOG_BYTES = 450;
export const LOG_LINE_BYTES = 200;
const GB = 1_024 ** 3;

export function add(...all: readonly Units[]): Units {
  return all.reduce((sum, each) => ({
    reads: sum.reads + each.reads,
    writes: sum.writes + each.writes,
  }));
}

export function times(count: number, { reads, writes }: Units): Units {
  return { reads: count * reads, writes: count * writes };
}

/** Units of all work together. */
export function toUnits(work: readonly Work[]): Units {
  return add({ reads: 0, writes: 0 }, ...work.map((each) => times(each.times, each.units)));
}

/** ms to send a message to so many connections. */
export function toSendMs(recipients: number, sender: Sender, memory: number): number {
  if (recipients === 0) return 0;
  const cpus = Math.min(1, memory / MB_PER_CPU);
  const waitMs = Math.ceil(recipients / sender.concurrency) * ASSUMED.sendMs;
  return Math.max(waitMs, (1_000 * recipients) / (sender.perSecond * cpus));
}

/** The quantities that AWS charges for. */
export function toUsage({ work, sender, storedBytes, backups }: Design, workload: Workload): Usage {
  const frameBytes = workload.messageBytes + FRAME_BYTES;
  const frames = Math.ceil(frameBytes / METERED_BYTES);
  const total = (of: (each: Work) => number) => work.reduce((sum, each) => sum + each.times * of(each), 0);
  const duration = ({ calls, ms = 0, answers = 0, recipients = 0 }: Work) =>
    ASSUMED.eventMs +
    calls * ASSUMED.callMs +
    ms +
    Math.max(answers > 0 ? ASSUMED.sendMs : 0, toSendMs(recipients, sender, workload.memory));
  const storedGb = storedBytes / GB;
  return {
    messages: total(
      ({ received = 0, answers = 0, recipients = 0 }) =>
        answers + (recipients > 0 ? frames * (received + recipients) : received),
    ),
    connectionMinutes: workload.connections * minutesInUse(workload),
    invocations: total(({ invocations = 1 }) => invocations),
    gbSeconds: total((each) => (duration(each) / 1_000) * (workload.memory / 1_024)),
    ...toUnits(work),
    storedGb,
    backupGb: backups ? storedGb : 0,
    logGb:
      total(
        ({ invocations = 1, logLines = 0 }) => invocations * INVOCATION_LOG_BYTES + logLines * LOG_LINE_BYTES,
      ) / GB,
    metricCalls: total(({ metricCalls = 0 }) => metricCalls),
    sentGb: total(({ answers = 0, recipients = 0 }) => answers * FRAME_BYTES + recipients * frameBytes) / GB,
  };
}
