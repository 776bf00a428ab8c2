import { elapsed } from "../../internal/elapsed.ts";
import { isUnknown, type ResolvedResource } from "../../lambda-emulator/index.ts";
import { mapsOf, readInteger, show, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** A value that a service or a function reports to CloudWatch. */
export interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: { readonly [name: string]: string };
  readonly value: number;
}

interface Alarm {
  readonly name: string;
  readonly description: string;
  readonly periodMs: number;
  readonly statistic: Statistic;
  readonly isBreached: (value: number) => boolean;
  /** The summary of the current period. Each value updates it, so that the values need not be kept. */
  summary: Summary;
  periodStart: number;
  hasFired: boolean;
}

interface Summary {
  readonly count: number;
  readonly sum: number;
  readonly least: number;
  readonly greatest: number;
}

type Statistic = (summary: Summary) => number;

const EMPTY: Summary = {
  ...{ count: 0, sum: 0 },
  ...{ least: Number.POSITIVE_INFINITY, greatest: Number.NEGATIVE_INFINITY },
};
const STATISTICS: { readonly [name: string]: Statistic } = {
  Sum: ({ sum }) => sum,
  Average: ({ sum, count }) => sum / count,
  Maximum: ({ greatest }) => greatest,
  Minimum: ({ least }) => least,
  SampleCount: ({ count }) => count,
};

const COMPARISONS: { readonly [name: string]: (value: number, threshold: number) => boolean } = {
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  GreaterThanThreshold: (value, threshold) => value > threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
};

/**
 * The alarms of a stack. One fires as soon as the values of a period reach its threshold, at most once a period: the service
 * looks once a minute, and wants as many periods as the alarm says.
 */
export class Alarms {
  readonly #alarms = new Map<string, Alarm[]>();
  readonly #onAlarm: (line: string) => void;
  readonly #now: () => number;

  /** @param now returns ms of a steady clock */
  constructor(stack: Stack, onAlarm: (line: string) => void, now: () => number = elapsed) {
    this.#onAlarm = onAlarm;
    this.#now = now;
    for (const each of stack.ofType("AWS::CloudWatch::Alarm")) {
      const alarm = readAlarm(stack, each);
      if (alarm === undefined) {
        stack.skip(each.logicalId, "an alarm on an expression");
        continue;
      }
      const key = keyOfAlarm(each);
      this.#alarms.set(key, [...(this.#alarms.get(key) ?? []), alarm]);
    }
  }

  /** Takes a value, and fires the alarms that it raises. */
  record(metric: Metric): void {
    for (const alarm of this.#alarms.get(keyOf(metric)) ?? []) this.#add(alarm, metric.value);
  }

  #add(alarm: Alarm, value: number): void {
    const now = this.#now();
    if (now - alarm.periodStart >= alarm.periodMs)
      Object.assign(alarm, { summary: EMPTY, periodStart: now, hasFired: false });
    const { count, sum, least, greatest } = alarm.summary;
    alarm.summary = {
      ...{ count: count + 1, sum: sum + value },
      ...{ least: Math.min(least, value), greatest: Math.max(greatest, value) },
    };
    if (alarm.hasFired || !alarm.isBreached(alarm.statistic(alarm.summary))) return;
    alarm.hasFired = true;
    this.#onAlarm(`ALARM ${alarm.name}: ${alarm.description}`);
  }
}

function readAlarm(stack: Stack, resource: ResolvedResource): Alarm | undefined {
  const { logicalId, properties } = resource;
  const statistic = STATISTICS[textOf(properties, "Statistic") ?? ""];
  const compare = COMPARISONS[textOf(properties, "ComparisonOperator") ?? ""];
  const text = textOf(properties, "Threshold");
  if (statistic === undefined || compare === undefined || text === undefined || isUnknown(text)) {
    return undefined;
  }
  const threshold = text === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(threshold)) {
    throw stack.error("TEMPLATE_INVALID", `\`Threshold\` must be a number; got ${show(text)}`, resource);
  }
  return {
    name: textOf(properties, "AlarmName") ?? logicalId,
    description: textOf(properties, "AlarmDescription") ?? "",
    periodMs: 1_000 * (readInteger(stack, resource, "Period", [1, 604_800]) ?? 60),
    statistic,
    isBreached: (value) => compare(value, threshold),
    summary: EMPTY,
    periodStart: Number.NEGATIVE_INFINITY,
    hasFired: false,
  };
}

function keyOfAlarm({ properties }: ResolvedResource): string {
  const dimensions = mapsOf(properties.Dimensions).map((each) => [
    textOf(each, "Name"),
    textOf(each, "Value"),
  ]);
  const [namespace, name] = [textOf(properties, "Namespace") ?? "", textOf(properties, "MetricName") ?? ""];
  return keyOf({ namespace, name, dimensions: Object.fromEntries(dimensions) });
}

function keyOf({ namespace, name, dimensions }: Omit<Metric, "value">): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}
