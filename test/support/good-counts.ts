import type { SideCounts } from "../../src/rollout/index.ts";

/** Counts of a side without failures, whose answers take about 10 ms. */
export const GOOD_COUNTS: SideCounts = {
  events: 1_000,
  errors: 0,
  connects: 100,
  connectFailures: 0,
  latencies: 1_000,
  latencySum: 10_000,
  latencySquares: 110_000,
};
