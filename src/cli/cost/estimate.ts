import { naive, original } from "./others.ts";
import { type Bill, toBill, type Usage } from "./prices.ts";
import { streamer } from "./streamer.ts";
import { toUsage } from "./work.ts";
import { toOperations, type Workload } from "./workload.ts";

/** Usage and cost of a design in a month. */
export interface Estimate extends Bill {
  readonly design: string;
  readonly usage: Usage;
}

export interface Estimates {
  readonly streamer: Estimate;
  readonly original: Estimate;
  readonly naive: Estimate;
}

/** Estimates a month of this package's Streamer, of the original Streamer's pattern, and of a naive design. */
export function estimate(workload: Workload): Estimates {
  const operations = toOperations(workload);
  const of = (design: typeof streamer): Estimate => {
    const designed = design(operations, workload);
    const usage = toUsage(designed, workload);
    return { design: designed.name, usage, ...toBill(usage) };
  };
  return { streamer: of(streamer), original: of(original), naive: of(naive) };
}
