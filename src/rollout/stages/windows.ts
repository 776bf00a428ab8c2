import { isRecord } from "../../internal/options.ts";

/** Counts of one side in a window. */
export interface SideCounts {
  /** Events of messages and disconnects. */
  readonly events: number;
  /** Events that failed. */
  readonly errors: number;
  /** Connection attempts. */
  readonly connects: number;
  /** Attempts that failed on the server's side; a refused token is none. */
  readonly connectFailures: number;
  /** Events whose duration was measured. */
  readonly latencies: number;
  /** Sum of the durations in ms. */
  readonly latencySum: number;
  /** Sum of the squares of the durations, in ms². */
  readonly latencySquares: number;
}

/** Both sides, over the same time. */
export interface ObservedWindow {
  /** Start of the window, in ms since the epoch. */
  readonly from: number;
  /** End of the window, in ms since the epoch. */
  readonly to: number;
  /** Counts of the old side. */
  readonly old: SideCounts;
  /** Counts of the new side. */
  readonly new: SideCounts;
}

export const SIDES = ["old", "new"] as const;

/** Counts of no events. */
export const NO_COUNTS: SideCounts = {
  events: 0,
  errors: 0,
  connects: 0,
  connectFailures: 0,
  latencies: 0,
  latencySum: 0,
  latencySquares: 0,
};
export const COUNTS = Object.keys(NO_COUNTS) as readonly (keyof SideCounts)[];

/** Joins two windows, of which the second follows the first. */
export function mergeWindows(first: ObservedWindow, second: ObservedWindow): ObservedWindow {
  return {
    from: first.from,
    to: second.to,
    old: addCounts(first.old, second.old),
    new: addCounts(first.new, second.new),
  };
}

/** Adds the counts of two samples. */
export function addCounts(one: SideCounts, other: SideCounts): SideCounts {
  return Object.fromEntries(COUNTS.map((name) => [name, one[name] + other[name]])) as unknown as SideCounts;
}

/** Returns the fault of a value that a source or a stored state has given as a window; `undefined` when it is valid. */
export function findWindowFault(window: unknown): string | undefined {
  if (!isRecord(window)) return "it must be an object";
  const { from, to } = window;
  if (!isCount(from) || !isCount(to) || to <= from) return "`to` must be later than `from`";
  for (const side of SIDES) {
    const counts = window[side];
    if (!isRecord(counts)) return `\`${side}\` must be an object`;
    const invalid = COUNTS.find((name) => !isCount(counts[name]));
    if (invalid !== undefined) return `\`${side}.${invalid}\` must be a number of at least 0`;
    const { events, errors, connects, connectFailures, latencies, latencySum, latencySquares } =
      counts as unknown as SideCounts;
    if (errors > events) return `\`${side}.errors\` exceeds the events`;
    if (connectFailures > connects) return `\`${side}.connectFailures\` exceeds the connects`;
    // By Cauchy and Schwarz, with a margin for rounding.
    if (latencySum ** 2 > latencies * latencySquares * (1 + 1e-9))
      return `\`${side}.latencySquares\` is too small`;
  }
  return undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
