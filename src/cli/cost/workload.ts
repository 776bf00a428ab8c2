/** An application's load. All numbers are averages while it is in use. */
export interface Workload {
  /** Open at the same time. */
  readonly connections: number;
  /** Published by all clients together. */
  readonly messagesPerMinute: number;
  /** Recipients of a message: the members of its channel. */
  readonly fanOut: number;
  /** A message's data. */
  readonly messageBytes: number;
  /** Hours a day in which the application is in use. */
  readonly hoursPerDay: number;
  /** How long a connection lasts; at most 120. */
  readonly connectionMinutes: number;
  /** Subscriptions of a connection. */
  readonly channels: number;
  /** Long requests of all clients together. */
  readonly requestsPerHour: number;
  /** Work of a request. */
  readonly requestSeconds: number;
  /** Messages are not stored. */
  readonly atMostOnce: boolean;
  /** Memory of each function, in MB. */
  readonly memory: number;
}

export const DEFAULTS: Workload = {
  connections: 1_000,
  messagesPerMinute: 1_000,
  fanOut: 10,
  messageBytes: 200,
  hoursPerDay: 24,
  connectionMinutes: 30,
  channels: 1,
  requestsPerHour: 0,
  requestSeconds: 10,
  atMostOnce: false,
  memory: 512,
};

/** How often each thing happens. */
export interface Operations {
  readonly connects: number;
  readonly disconnects: number;
  /** One for each connection, with all of its channels. */
  readonly subscribes: number;
  readonly heartbeats: number;
  readonly publishes: number;
  readonly requests: number;
  /** Runs of the schedule, whether the application is in use or not. */
  readonly ticks: number;
}

/** A year's hours, divided by 12. */
const HOURS_PER_MONTH = 730;
/** The client's default, less its jitter (`heartbeatMs`): 5 % on average. */
const HEARTBEAT_MINUTES = 5 * 0.95;

export function minutesInUse({ hoursPerDay }: Workload): number {
  return HOURS_PER_MONTH * 60 * (hoursPerDay / 24);
}

/** The operations of a month. */
export function toOperations(workload: Workload): Operations {
  const minutes = minutesInUse(workload);
  const open = workload.connections * minutes;
  const connects = open / workload.connectionMinutes;
  return {
    connects,
    disconnects: connects,
    subscribes: connects,
    heartbeats: open / HEARTBEAT_MINUTES,
    publishes: workload.messagesPerMinute * minutes,
    requests: (workload.requestsPerHour * minutes) / 60,
    ticks: HOURS_PER_MONTH * 60,
  };
}
