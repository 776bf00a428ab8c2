import { AwsJsonApi, type AwsTarget, Retry } from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { integer, isRecord, text } from "../../internal/options.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import { AWS_TARGET } from "../flags/sources.ts";
import type { Side } from "../flags/steps.ts";
import { COUNTS, NO_COUNTS, type ObservedWindow, SIDES, type SideCounts } from "../stages/windows.ts";
import { NAMESPACE, STATISTICS } from "./cloudwatch-metrics.ts";
import { askSource, invalidMetrics, type MetricSource, toWindow } from "./source.ts";

/** Options of `cloudWatchSource`. */
export interface CloudWatchSourceOptions extends AwsTarget {
  /** Stage of the API, such as `prod`. */
  readonly stage: string;
  /** The namespace of `emfSides`. Default `LiftRollout`. */
  readonly namespace?: string;
  /** Time limit of a read in ms, retries included. Default 20,000; minimum 1. */
  readonly timeoutMs?: number;
}

/** The period of custom metrics; data points have the time at which theirs begins. */
const PERIOD_MS = 60_000;

/**
 * Reads the metrics of `emfSides` from CloudWatch, without the AWS SDK. Needs `cloudwatch:GetMetricData`. The plan's windows
 * must be whole minutes.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = cloudWatchSource({ stage: "prod" });
 */
export function cloudWatchSource(options: CloudWatchSourceOptions): MetricSource {
  checkOptions(options, { ...AWS_TARGET, stage: text, namespace: NAMESPACE.check, timeoutMs: integer(1) }, [
    "stage",
  ]);
  const { stage, namespace = NAMESPACE.default, timeoutMs = 20_000, ...target } = options;
  const api = new AwsJsonApi("monitoring", target);
  const queries = queriesOf(stage, namespace);
  return {
    async read(from, to) {
      if (from % PERIOD_MS !== 0 || to % PERIOD_MS !== 0) {
        throw new RolloutError("INVALID_OPTION", "CloudWatch needs a `windowMs` of whole minutes");
      }
      const input = { MetricDataQueries: queries, StartTime: from / 1_000, EndTime: to / 1_000 };
      const results = await askSource("CloudWatch", () => readPages(api, input, timeoutMs));
      return windowOf(from, to, results);
    },
  };
}

function queriesOf(stage: string, namespace: string): readonly object[] {
  return SIDES.flatMap((side) =>
    COUNTS.map((count) => {
      const [MetricName, Stat] = STATISTICS[count];
      const Dimensions = [
        { Name: "Stage", Value: stage },
        { Name: "Side", Value: side },
      ];
      const Metric = { Namespace: namespace, MetricName, Dimensions };
      return { Id: `${side}_${count}`, MetricStat: { Metric, Period: PERIOD_MS / 1_000, Stat } };
    }),
  );
}

async function readPages(api: AwsJsonApi, input: object, timeoutMs: number): Promise<readonly unknown[]> {
  const retry = new Retry({ deadline: elapsed() + timeoutMs });
  const results: unknown[] = [];
  let NextToken: unknown;
  do {
    const page: unknown = await retry.run((signal) =>
      api.call("GetMetricData", { ...input, ...(NextToken ? { NextToken } : {}) }, signal),
    );
    if (!isRecord(page) || !Array.isArray(page.MetricDataResults)) throw nonsense("no `MetricDataResults`");
    results.push(...page.MetricDataResults);
    ({ NextToken } = page);
  } while (NextToken);
  return results;
}

function windowOf(from: number, to: number, results: readonly unknown[]): ObservedWindow {
  const sides = { old: { ...NO_COUNTS }, new: { ...NO_COUNTS } };
  const statuses = new Map<string, unknown>();
  for (const result of results) {
    const { Id, Timestamps, Values, StatusCode } = isRecord(result) ? result : {};
    const [side, count] = String(Id).split("_") as [Side, keyof SideCounts];
    if (!Object.hasOwn(sides, side) || !Object.hasOwn(NO_COUNTS, count)) throw nonsense(`an unknown \`Id\``);
    if (!Array.isArray(Timestamps) || !Array.isArray(Values) || Timestamps.length !== Values.length) {
      throw nonsense("other `Timestamps` than `Values`");
    }
    for (const [index, seconds] of Timestamps.entries()) {
      const at = Number(seconds) * 1_000;
      if (!(at >= from && at < to)) {
        throw invalidMetrics("CloudWatch answered with data of another time than the window's");
      }
      sides[side][count] += Number(Values[index]);
    }
    statuses.set(String(Id), StatusCode);
  }
  // A result on several pages is `PartialData` on all but the last.
  const isComplete = [...statuses.values()].every((status) => status === "Complete");
  if (!isComplete || statuses.size !== SIDES.length * COUNTS.length) throw nonsense("incomplete data");
  return toWindow(from, to, sides);
}

function nonsense(fault: string): RolloutError {
  return invalidMetrics(`CloudWatch answered with ${fault}`);
}
