import type { StoreName } from "./stores.ts";

/** Load of a simulation: high enough that faults coincide, low enough that the store keeps up on a busy machine. */
export interface LoadProfile {
  /** Factor by which the service's limits and the clients' timers run faster while faults are injected. */
  readonly speed: number;
  /** Stand-ins for the service's limits of 10 minutes and 2 hours, measured by the fast clock. */
  readonly limits: { readonly idleMs: number; readonly lifetimeMs: number };
  /** Heartbeat interval of the clients, measured by the fast clock. */
  readonly heartbeatMs: number;
  /** Time that a live stream outlives its owner's last connection, measured by the normal clock. */
  readonly graceMs: number;
  /** Whether fewer clients subscribe to fewer channels. */
  readonly isReduced: boolean;
  /** Interval between two publications of one client. */
  readonly publishIntervalMs: readonly [min: number, max: number];
  /** Interval between two faults. The server process lives for about twenty of them, longer than a connection. */
  readonly faultIntervalMs: readonly [min: number, max: number];
  /** Share of publications that are larger than a frame. */
  readonly chunkedShare: number;
  /** Long requests that each tenant's user has at a time, and the lease of a worker. */
  readonly requests: { readonly outstanding: number; readonly leaseMs: number };
  /** Duration of a burst of one fault. */
  readonly burstMs: readonly [min: number, max: number];
  /** Rates per second that a run must reach: publications, deliveries, long requests, and faults of each kind. */
  readonly minimums: {
    readonly published: number;
    readonly delivered: number;
    readonly requests: number;
    readonly faults: number;
  };
}

/** The lifetime limit is at least 10 s: the client's shortest rotation. */
const EMBEDDED: LoadProfile = {
  speed: 6,
  limits: { idleMs: 3_000, lifetimeMs: 12_000 },
  heartbeatMs: 1_000,
  graceMs: 1_000,
  isReduced: false,
  publishIntervalMs: [20, 140],
  chunkedShare: 0.02,
  faultIntervalMs: [40, 160],
  burstMs: [100, 400],
  requests: { outstanding: 4, leaseMs: 3_000 },
  minimums: { published: 10, delivered: 30, requests: 1, faults: 1 / 15 },
};

/**
 * DynamoDB Local is one process that handles a few hundred requests a second on a busy machine. A publication takes ten
 * requests, a heartbeat up to twenty, a reconnect about a hundred. Above that rate requests time out and are retried.
 */
const DYNAMODB: LoadProfile = {
  speed: 2,
  limits: { idleMs: 4_000, lifetimeMs: 16_000 },
  heartbeatMs: 3_000,
  graceMs: 1_500,
  isReduced: true,
  publishIntervalMs: [300, 1_500],
  chunkedShare: 0.04,
  faultIntervalMs: [200, 500],
  burstMs: [300, 800],
  requests: { outstanding: 1, leaseMs: 6_000 },
  minimums: { published: 5, delivered: 12, requests: 1 / 5, faults: 1 / 25 },
};

export const LOAD_PROFILES: { readonly [Store in StoreName]: LoadProfile } = {
  memory: EMBEDDED,
  sqlite: EMBEDDED,
  dynamodb: DYNAMODB,
};
