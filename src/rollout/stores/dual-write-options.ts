import { anyFunction, boolean, either, integer, type OptionChecks } from "../../internal/options.ts";
import type { CompareRows, RowDifference } from "./differences.ts";

/** Options of `dualWriteStore`. */
export interface DualWriteOptions {
  /**
   * Compares the row in both stores after each write, which costs a read of each. `true` compares all fields; a function
   * decides itself. Default true.
   */
  readonly compare?: boolean | CompareRows;
  /** Called for each difference that is found. Its errors are ignored. */
  readonly onDifference?: (difference: RowDifference) => void;
  /**
   * Writes that wait for the secondary at most. Further ones are not written there: they are counted and listed. Default
   * 10,000; minimum 1.
   */
  readonly maxPending?: number;
  /** Rows listed by `differences()` at most. Default 1,000; minimum 1. */
  readonly maxListed?: number;
  /** Calls to the secondary at once. Default 16; minimum 1. */
  readonly concurrency?: number;
  /**
   * Time limit of a call to the secondary in ms, within which the store rejects. Without `background`, each write waits that
   * long at most. Default 5,000, or 1,000 without `background`; minimum 1.
   */
  readonly timeoutMs?: number;
  /**
   * Whether a write resolves before the secondary has it. Default: true, but false on Lambda, which freezes the process
   * after each event.
   */
  readonly background?: boolean;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Counts since the store was created. */
export interface DualWriteReport {
  /** Writes that the primary carried out. */
  readonly written: number;
  /** Writes that wait for the secondary now. */
  readonly pending: number;
  /** Writes that failed on the secondary. */
  readonly failed: number;
  /** Writes that the secondary never got, because `maxPending` others waited. */
  readonly dropped: number;
  /** Comparisons that had a result. */
  readonly compared: number;
  /** Comparisons that failed, because a store did not answer. */
  readonly uncompared: number;
  /** Differences found, those included that a later write or comparison ended. */
  readonly different: number;
  /** Differences that are not in `differences()`, because it had `maxListed` rows. */
  readonly unlisted: number;
}

export const DUAL_WRITE_OPTIONS: OptionChecks<DualWriteOptions> = {
  compare: either(boolean, anyFunction),
  onDifference: anyFunction,
  maxPending: integer(1),
  maxListed: integer(1),
  concurrency: integer(1),
  timeoutMs: integer(1),
  background: boolean,
  now: anyFunction,
};

/** Options with their defaults. */
export type DualWriteSettings = Required<Omit<DualWriteOptions, "compare" | "onDifference">>;

export function settingsOf(options: DualWriteOptions): DualWriteSettings {
  const background = options.background ?? process.env.AWS_LAMBDA_FUNCTION_NAME === undefined;
  return {
    maxPending: options.maxPending ?? 10_000,
    maxListed: options.maxListed ?? 1_000,
    concurrency: options.concurrency ?? 16,
    timeoutMs: options.timeoutMs ?? (background ? 5_000 : 1_000),
    background,
    now: options.now ?? Date.now,
  };
}
