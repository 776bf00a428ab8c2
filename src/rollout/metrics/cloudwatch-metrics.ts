import type { OptionCheck } from "../../internal/options.ts";
import type { SideCounts } from "../stages/windows.ts";

/** The CloudWatch namespace of both sides' metrics. */
export const NAMESPACE = {
  default: "LiftRollout",
  check: {
    test: (value) => typeof value === "string" && /^[\w.#:/-]{1,255}$/.test(value),
    expected: "1 to 255 letters, digits or characters of `_.#:/-`",
  } satisfies OptionCheck,
};

/** The metric and the statistic of each count. */
export const STATISTICS: {
  readonly [Name in keyof SideCounts]: readonly [metric: string, statistic: string];
} = {
  events: ["Errors", "SampleCount"],
  errors: ["Errors", "Sum"],
  connects: ["ConnectFailures", "SampleCount"],
  connectFailures: ["ConnectFailures", "Sum"],
  latencies: ["Latency", "SampleCount"],
  latencySum: ["Latency", "Sum"],
  latencySquares: ["LatencySquared", "Sum"],
};
