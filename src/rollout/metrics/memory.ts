import type { SideEvent, SideRecorder } from "../flags/side-events.ts";
import type { Side } from "../flags/steps.ts";
import { addCounts, NO_COUNTS, type SideCounts } from "../stages/windows.ts";
import { type MetricSource, toWindow } from "./source.ts";

/** Counts are kept per second, for two hours. */
const BUCKET_MS = 1_000;
const MAX_BUCKETS = 7_200;

export type Counts = { -readonly [Name in keyof SideCounts]: number };
type Sides = { readonly [side in Side]: Counts };

/** Adds one event to the counts of its side. */
export function addEvent(counts: Counts, { event, failed, durationMs }: SideEvent): void {
  if (event === "CONNECT") {
    counts.connects++;
    if (failed) counts.connectFailures++;
    return;
  }
  counts.events++;
  if (failed) counts.errors++;
  counts.latencies++;
  counts.latencySum += durationMs;
  counts.latencySquares += durationMs ** 2;
}

/**
 * Records both sides in memory and is the source of a rollout in the same process, for example in a rehearsal.
 * @param options `now`: returns ms since the epoch. Default `Date.now`
 * @example
 * const sides = memorySides();
 * const handler = split(oldHandler, newHandler, flag, { recorder: sides });
 * const rollout = createRollout({ flag: target, state: memoryFlag(), source: sides });
 */
export function memorySides(options: { readonly now?: () => number } = {}): SideRecorder & MetricSource {
  const { now = Date.now } = options;
  const buckets = new Map<number, Sides>();
  return {
    record(event) {
      const key = Math.floor(now() / BUCKET_MS);
      let bucket = buckets.get(key);
      if (bucket === undefined) {
        bucket = { old: { ...NO_COUNTS }, new: { ...NO_COUNTS } };
        buckets.set(key, bucket);
        if (buckets.size > MAX_BUCKETS) buckets.delete(buckets.keys().next().value!);
      }
      addEvent(bucket[event.side], event);
    },
    read(from, to) {
      const found = [...buckets].flatMap(([key, sides]) =>
        key * BUCKET_MS >= from && key * BUCKET_MS < to ? [sides] : [],
      );
      const sum = (side: Side) =>
        found.reduce<SideCounts>((total, sides) => addCounts(total, sides[side]), NO_COUNTS);
      return toWindow(from, to, { old: sum("old"), new: sum("new") });
    },
  };
}
