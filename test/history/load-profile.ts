import type { StoreName } from "./stores.ts";

/** How fast a world goes: so fast that much happens, and no faster than its store answers on a machine that is busy. */
export interface Pace {
  /** How much faster than the day the service's limits and the clients' timers go while there are faults. */
  readonly speed: number;
  /** The service's 10 minutes and 2 hours, by that clock. */
  readonly limits: { readonly idleMs: number; readonly lifetimeMs: number };
  /** Of the clients, by that clock. */
  readonly heartbeatMs: number;
  /** How long a stream outlives its owner's last connection; not by that clock. */
  readonly graceMs: number;
  /** Fewer people are in fewer channels. */
  readonly fewer: boolean;
  /** Between two publications of one client. */
  readonly thinkMs: readonly [min: number, max: number];
  /** Between two faults. A life of the server is as long as some twenty of them, and longer than a connection's. */
  readonly pauseMs: readonly [min: number, max: number];
  /** The chance that a publication is larger than a frame. */
  readonly inParts: number;
  /** In which much of one kind goes wrong. */
  readonly momentMs: readonly [min: number, max: number];
  /** A run counts with so many publications a second, so many of them handed on, and so many faults of each kind. */
  readonly least: { readonly published: number; readonly handed: number; readonly faults: number };
}

/** The client's shortest rotation is 10 s, so no lifetime is shorter. */
const EMBEDDED: Pace = {
  speed: 6,
  limits: { idleMs: 3_000, lifetimeMs: 12_000 },
  heartbeatMs: 1_000,
  graceMs: 1_000,
  fewer: false,
  thinkMs: [20, 140],
  inParts: 0.02,
  pauseMs: [40, 160],
  momentMs: [100, 400],
  least: { published: 10, handed: 30, faults: 1 / 15 },
};

/**
 * DynamoDB Local is one process, which does a few hundred things a second while others use the machine. A publication is
 * ten of them, a heartbeat up to twenty, a connection that ends and comes back a hundred: where these come faster than
 * they are done, they time out, and are made again.
 */
const DYNAMODB: Pace = {
  speed: 2,
  limits: { idleMs: 4_000, lifetimeMs: 16_000 },
  heartbeatMs: 3_000,
  graceMs: 1_500,
  fewer: true,
  thinkMs: [300, 1_500],
  inParts: 0.04,
  pauseMs: [200, 500],
  momentMs: [300, 800],
  least: { published: 5, handed: 12, faults: 1 / 25 },
};

export const PACES: { readonly [Store in StoreName]: Pace } = {
  memory: EMBEDDED,
  sqlite: EMBEDDED,
  dynamodb: DYNAMODB,
};
