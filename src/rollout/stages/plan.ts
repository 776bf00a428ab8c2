import { integer, type OptionCheck, type OptionChecks } from "../../internal/options.ts";
import { checkOptions, RolloutError } from "../errors.ts";

/** A stage of a rollout. */
export interface Stage {
  /** Percentage on the new side; more than the stage's before, at most 100. */
  readonly percent: number;
  /** Observed hours until the next stage; more than 0. The last stage has none. */
  readonly hours?: number;
}

/** Options of `createPlan`. */
export interface PlanOptions {
  /** Default: 5 % for 24 hours, 25 % and 50 % for 48 hours each, then 100 %. */
  readonly stages?: readonly Stage[];
  /** Length of a window in ms. Default 300,000; minimum 1,000. */
  readonly windowMs?: number;
  /** Highest rate of failed events. Default 0.01. */
  readonly maxErrorRate?: number;
  /** Highest increase of the mean latency over the old side. Default 0.2. */
  readonly maxLatencyIncrease?: number;
  /** Highest rate of failed connection attempts. Default 0.001. */
  readonly maxConnectFailureRate?: number;
  /** Events of the new side without which errors and latency cannot trigger. Default 200; minimum 1. */
  readonly minEvents?: number;
  /** Connection attempts of the new side without which they cannot trigger. Default 50; minimum 1. */
  readonly minConnects?: number;
  /** Highest share of whole rollouts that chance alone may roll back. Default 0.01. */
  readonly falseRollbackRate?: number;
}

/** A checked plan. */
export interface Plan extends Required<PlanOptions> {
  /** Logarithm of the confidence that a trigger needs. */
  readonly evidence: number;
}

const HOUR_MS = 3_600_000;
const TRIGGERS = 3;

const DEFAULT_STAGES: readonly Stage[] = [
  { percent: 5, hours: 24 },
  { percent: 25, hours: 48 },
  { percent: 50, hours: 48 },
  { percent: 100 },
];

const between = (min: number, max: number): OptionCheck => ({
  test: (value) => typeof value === "number" && value > min && value < max,
  expected: `a number between ${min} and ${max}`,
});

const OPTIONS: OptionChecks<PlanOptions> = {
  stages: { test: (value) => Array.isArray(value) && value.length > 0, expected: "a list of stages" },
  windowMs: integer(1_000),
  maxErrorRate: between(0, 1),
  maxLatencyIncrease: between(0, 100),
  maxConnectFailureRate: between(0, 1),
  minEvents: integer(1),
  minConnects: integer(1),
  falseRollbackRate: between(0, 1),
};

/**
 * Creates the plan of a rollout.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const plan = createPlan({ stages: [{ percent: 10, hours: 1 }, { percent: 100 }], windowMs: 60_000 });
 */
export function createPlan(options: PlanOptions = {}): Plan {
  checkOptions(options, OPTIONS);
  const stages = options.stages ?? DEFAULT_STAGES;
  checkStages(stages);
  const windowMs = options.windowMs ?? 300_000;
  const falseRollbackRate = options.falseRollbackRate ?? 0.01;
  const windows = stages.reduce((sum, { hours = 0 }) => sum + Math.ceil((hours * HOUR_MS) / windowMs), 0);
  // Each window is checked once alone, and less than once more as part of longer ones.
  const checks = 2 * Math.max(1, windows) * TRIGGERS;
  return {
    stages,
    windowMs,
    maxErrorRate: options.maxErrorRate ?? 0.01,
    maxLatencyIncrease: options.maxLatencyIncrease ?? 0.2,
    maxConnectFailureRate: options.maxConnectFailureRate ?? 0.001,
    minEvents: options.minEvents ?? 200,
    minConnects: options.minConnects ?? 50,
    falseRollbackRate,
    evidence: Math.log(checks / falseRollbackRate),
  };
}

function checkStages(stages: readonly Stage[]): void {
  let before = 0;
  for (const [index, stage] of stages.entries()) {
    const { percent, hours } = stage ?? {};
    const isLast = index === stages.length - 1;
    if (!(typeof percent === "number" && percent > before && percent <= 100)) {
      throw new RolloutError(
        "INVALID_OPTION",
        `\`stages[${index}].percent\` must be above ${before} and at most 100`,
      );
    }
    if (isLast ? hours !== undefined : !(typeof hours === "number" && hours > 0 && hours < 10_000)) {
      const expected = isLast ? "is not allowed in the last stage" : "must be a number of hours above 0";
      throw new RolloutError("INVALID_OPTION", `\`stages[${index}].hours\` ${expected}`);
    }
    before = percent;
  }
}
