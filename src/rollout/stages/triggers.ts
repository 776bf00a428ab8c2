import type { Plan } from "./plan.ts";
import type { ObservedWindow, SideCounts } from "./windows.ts";

/** The reason for a rollback. */
export interface TriggerReport {
  /** The trigger that fired. */
  readonly trigger: "errors" | "latency" | "connections";
  /** The new side's rate, or its increase of latency; 0.02 is 2 %. */
  readonly observed: number;
  /** The limit that it exceeds. */
  readonly limit: number;
  /** Events, or connection attempts, of the new side. */
  readonly sample: number;
  /** Start of the observation, in ms since the epoch. */
  readonly from: number;
  /** End of the observation, in ms since the epoch. */
  readonly to: number;
}

/** A measure with the certainty that it exceeds its limit. */
interface Finding extends TriggerReport {
  /** The chance of such a sample, if the limit were kept, is at most `exp(-evidence)`. */
  readonly evidence: number;
  readonly hasSample: boolean;
}

/**
 * Returns the first trigger whose limit is exceeded with confidence: chance alone would fire any of them in at most
 * `falseRollbackRate` of whole rollouts.
 */
export function findTrigger(window: ObservedWindow, plan: Plan): TriggerReport | undefined {
  return report(
    findingsOf(window, plan).find(({ hasSample, evidence }) => hasSample && evidence > plan.evidence),
  );
}

/** Returns the first measure above its limit, however uncertain, as a reason not to promote. */
export function findExcess(window: ObservedWindow, plan: Plan): TriggerReport | undefined {
  return report(
    findingsOf(window, plan).find(({ hasSample, observed, limit }) => hasSample && observed > limit),
  );
}

/** Returns whether a window has the minimum sample of each trigger. */
export function hasSamples(window: ObservedWindow, plan: Plan): boolean {
  return findingsOf(window, plan).every(({ hasSample }) => hasSample);
}

function report(finding: Finding | undefined): TriggerReport | undefined {
  if (finding === undefined) return undefined;
  const { evidence: _, hasSample: __, ...rest } = finding;
  return rest;
}

function findingsOf(window: ObservedWindow, plan: Plan): readonly Finding[] {
  const { from, to } = window;
  const { old, new: fresh } = window;
  const times = { from, to };
  return [
    {
      trigger: "errors",
      ...times,
      ...rateFinding([fresh.errors, fresh.events], [old.errors, old.events], plan.maxErrorRate),
      hasSample: fresh.events >= plan.minEvents,
    },
    {
      trigger: "connections",
      ...times,
      ...rateFinding(
        [fresh.connectFailures, fresh.connects],
        [old.connectFailures, old.connects],
        plan.maxConnectFailureRate,
      ),
      hasSample: fresh.connects >= plan.minConnects,
    },
    {
      trigger: "latency",
      ...times,
      ...latencyFinding(fresh, old, plan.maxLatencyIncrease),
      // At 100 % the old side has no events to compare with.
      hasSample: fresh.latencies >= plan.minEvents && old.latencies >= plan.minEvents,
    },
  ];
}

type Counted = readonly [failures: number, all: number];

/**
 * Compares a rate with its limit, or with the old side's rate if that is higher: a rollback would not help then. Chernoff's
 * bound holds for samples of any size: the chance of the rate `p` is at most `exp(-n · KL(p, limit))`.
 */
function rateFinding([failures, all]: Counted, [oldFailures, oldAll]: Counted, maxRate: number) {
  const observed = all === 0 ? 0 : failures / all;
  const oldRate = oldAll === 0 ? 0 : oldFailures / oldAll;
  const limit = Math.max(maxRate, oldRate);
  // The old side's rate is a sample too.
  const sample = oldRate > maxRate ? (all * oldAll) / (all + oldAll) : all;
  const evidence = observed > limit ? sample * divergence(observed, limit) : 0;
  return { observed, limit, sample: all, evidence };
}

/** The Kullback-Leibler divergence of two rates. */
function divergence(rate: number, limit: number): number {
  if (limit >= 1) return 0;
  const failed = rate === 0 ? 0 : rate * Math.log(rate / limit);
  return failed + (rate === 1 ? 0 : (1 - rate) * Math.log((1 - rate) / (1 - limit)));
}

/** Compares the means by a z-test of `new - (1 + limit) · old`, whose tail is at most `exp(-z² / 2)`. */
function latencyFinding(fresh: SideCounts, old: SideCounts, limit: number) {
  const [mean, variance] = momentsOf(fresh);
  const [oldMean, oldVariance] = momentsOf(old);
  const excess = mean - (1 + limit) * oldMean;
  const error = Math.sqrt(variance + (1 + limit) ** 2 * oldVariance);
  const z = excess <= 0 ? 0 : error === 0 ? Number.POSITIVE_INFINITY : excess / error;
  const observed = oldMean === 0 ? 0 : mean / oldMean - 1;
  return { observed, limit, sample: fresh.latencies, evidence: z ** 2 / 2 };
}

/** Returns the mean, and the variance of the mean. */
function momentsOf({ latencies, latencySum, latencySquares }: SideCounts): readonly [number, number] {
  if (latencies < 2) return [latencySum, 0];
  const mean = latencySum / latencies;
  const variance = Math.max(0, latencySquares / latencies - mean ** 2) / (latencies - 1);
  return [mean, variance];
}
