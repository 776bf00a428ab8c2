import type { GatewayOptions } from "lift-ws/gateway";

/** Limits of a gateway that a measure does not run into. */
export const UNLIMITED = {
  connectionsPerSecond: Number.POSITIVE_INFINITY,
  connectionMessagesPerSecond: Number.POSITIVE_INFINITY,
  requestsPerSecond: Number.POSITIVE_INFINITY,
  requestBurst: Number.POSITIVE_INFINITY,
} satisfies GatewayOptions["limits"];
